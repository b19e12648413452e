// The dashboard: the pages on the left (below on a phone), the one that is looked at beside them.
import { useCallback, useEffect, useState, type ReactNode } from "react";
import { useConvexConnectionState } from "convex/react";
import { Help, pageKeys, usePageKeys } from "./keyboard";
import { LogFollower } from "./log";
import { AuthPage } from "./pages/Auth";
import { DataPage } from "./pages/Data";
import { FunctionsPage } from "./pages/Functions";
import { HealthPage } from "./pages/Health";
import { LogsPage } from "./pages/Logs";
import { QueriesPage } from "./pages/Queries";
import { Brand } from "./parts/Brand";
import { Boundary } from "./parts/small";
import { addressOf, follow, useRoute, type PageName } from "./route";
import { SessionGate, useSession } from "./session";
import { useTheme } from "./theme";

const pages: { name: PageName; title: string; short: string; icon: ReactNode; body: () => ReactNode }[] = [
  {
    name: "data",
    title: "Data",
    short: "Data",
    icon: <path d="M3 4.5h14v11H3zM3 8.5h14M8 8.5v7" />,
    body: () => <DataPage />,
  },
  {
    name: "functions",
    title: "Functions",
    short: "Functions",
    icon: <path d="M7 4c-2.5 0-1 6-4 6 3 0 1.5 6 4 6M13 4c2.5 0 1 6 4 6-3 0-1.5 6-4 6" />,
    body: () => <FunctionsPage />,
  },
  { name: "logs", title: "Logs", short: "Logs", icon: <path d="M3 5h14M3 10h9M3 15h12" />, body: () => <LogsPage /> },
  {
    name: "auth",
    title: "Auth",
    short: "Auth",
    icon: <path d="M10 2.5l6.5 2.5v4.5c0 4-2.8 6.8-6.5 8-3.700-1.2-6.5-4-6.5-8V5zM7 10l2.2 2.2L13.2 8" />,
    body: () => <AuthPage />,
  },
  {
    name: "queries",
    title: "Live queries",
    short: "Queries",
    icon: <path d="M10 10h.01M6.8 13.2a4.5 4.5 0 010-6.400M13.2 6.8a4.5 4.5 0 010 6.400M4 16a8.5 8.5 0 010-12M16 4a8.5 8.5 0 010 12" />,
    body: () => <QueriesPage />,
  },
  { name: "health", title: "Health", short: "Health", icon: <path d="M2 10.5h4l2-6 4 11 2-5h4" />, body: () => <HealthPage /> },
];

export function App() {
  return (
    <SessionGate>
      <LogFollower>
        <Frame />
      </LogFollower>
    </SessionGate>
  );
}

function Frame() {
  const route = useRoute();
  const [isHelpOpen, setHelpOpen] = useState(false);
  usePageKeys(useCallback(() => setHelpOpen(true), []));
  const page = pages.find(({ name }) => name === route.page) ?? pages[0];
  const title = page?.title ?? "";
  useEffect(() => {
    document.title = `${route.subject ?? title} · Syncline`;
  }, [route.subject, title]);

  return (
    <div className="frame">
      <a className="skip" href="#content">
        To the page
      </a>
      <header className="side">
        <div className="side-head">
          <Brand />
          <Connection />
        </div>
        <nav className="nav" aria-label="Pages">
          {pages.map(({ name, title, short, icon }) => (
            <a key={name} href={addressOf(name)} onClick={follow} aria-current={name === route.page ? "page" : undefined}>
              <svg viewBox="0 0 20 20" width="19" height="19" aria-hidden="true">
                {icon}
              </svg>
              <span className="nav-long">{title}</span>
              <span className="nav-short" aria-hidden="true">
                {short}
              </span>
              <KeyHint page={name} />
            </a>
          ))}
        </nav>
        <SideFoot showHelp={() => setHelpOpen(true)} />
      </header>
      <main className="content" id="content" tabIndex={-1} key={route.page}>
        <Boundary>{page?.body()}</Boundary>
      </main>
      {isHelpOpen && <Help close={() => setHelpOpen(false)} />}
    </div>
  );
}

function KeyHint({ page }: { page: PageName }) {
  const key = Object.entries(pageKeys).find(([, name]) => name === page)?.[0];
  return (
    <kbd className="nav-key" aria-hidden="true">
      g {key}
    </kbd>
  );
}

function Connection() {
  const { isWebSocketConnected, hasEverConnected } = useConvexConnectionState();
  const [state, text] = isWebSocketConnected
    ? ["good", "Live"]
    : hasEverConnected
      ? ["bad", "Reconnecting…"]
      : ["wait", "Connecting…"];
  return (
    <span className="connection" data-state={state} data-testid="connection" role="status">
      <span className="dot" />
      {text}
    </span>
  );
}

function SideFoot({ showHelp }: { showHelp: () => void }) {
  const { instance, leave } = useSession();
  const { theme, next } = useTheme();
  const names = { system: "as the system says", light: "light", dark: "dark" };
  return (
    <div className="side-foot">
      <span className="instance" title="Name of this deployment">
        {instance}
      </span>
      <div className="side-tools">
        <button type="button" className="button plain icon" aria-label={`Colours: ${names[theme]}`} title={`Colours: ${names[theme]}`} onClick={next}>
          <svg viewBox="0 0 20 20" width="17" height="17" aria-hidden="true">
            {theme === "light" && <path d="M10 6.5a3.5 3.5 0 100 7 3.5 3.5 0 000-7zM10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.400 1.400M14.600 14.600L16 16M16 4l-1.400 1.400M5.400 14.600L4 16" />}
            {theme === "dark" && <path d="M16.5 12A7 7 0 018 3.5a7 7 0 108.5 8.5z" />}
            {theme === "system" && <path d="M10 2.5a7.5 7.5 0 100 15 7.5 7.5 0 000-15zM10 2.5v15M10 6h5.5M10 10h7.5M10 14h5.5" />}
          </svg>
        </button>
        <button type="button" className="button plain icon" aria-label="Keyboard" title="Keyboard (?)" onClick={showHelp}>
          ?
        </button>
        <button type="button" className="button plain icon" aria-label="Forget the admin key" title="Forget the admin key" onClick={leave}>
          <svg viewBox="0 0 20 20" width="17" height="17" aria-hidden="true">
            <path d="M12 3.5H4.5v13H12M8.5 10H17M14 7l3 3-3 3" />
          </svg>
        </button>
      </div>
    </div>
  );
}
