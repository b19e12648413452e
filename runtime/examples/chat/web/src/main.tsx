// Starts the page: one Convex client, fed with tokens by the stand-in for Clerk.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ConvexReactClient } from "convex/react";
import { ConvexProviderWithClerk } from "convex/react-clerk";
import { App } from "./App";
import { clientLogger } from "./client-log";
import { DevClerkProvider, useAuth } from "./dev-clerk";
import { UserSync } from "./user-sync";
import "./styles.css";

// The server that serves this page is the one it talks to.
const url = window.location.origin;
const client = new ConvexReactClient(url, { logger: clientLogger });
console.log(`✅ Convex URL configured: ${url}`);

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <DevClerkProvider>
      <ConvexProviderWithClerk client={client} useAuth={useAuth}>
        <UserSync>
          <App />
        </UserSync>
      </ConvexProviderWithClerk>
    </DevClerkProvider>
  </StrictMode>,
);
