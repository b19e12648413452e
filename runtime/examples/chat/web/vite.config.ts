// Builds the page into `dist`, which the server serves beside its API.
// `npm run dev` serves it with hot reload instead, and hands the API's paths to a running server.
import { defineConfig } from "vite";

declare const process: { env: Record<string, string | undefined> };

const server = process.env.SYNCLINE_URL ?? "http://127.0.0.1:3210";

export default defineConfig({
  esbuild: { jsx: "automatic" },
  build: { target: "es2023", sourcemap: false },
  server: {
    proxy: {
      "/api": { target: server, ws: true },
      "/dev-issuer": { target: server },
    },
  },
});
