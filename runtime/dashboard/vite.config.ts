// Builds the dashboard into `dist`, which the server's build takes into its binary.
// `npm run dev` serves it with hot reload instead, and hands the API's paths to a running server.
import { defineConfig } from "vite";

declare const process: { env: Record<string, string | undefined> };

const server = process.env.SYNCLINE_URL ?? "http://127.0.0.1:3210";

export default defineConfig({
  base: "/dashboard/",
  esbuild: { jsx: "automatic" },
  // The page's Content-Security-Policy allows neither `data:` addresses nor inline scripts.
  build: { target: "es2024", sourcemap: false, assetsInlineLimit: 0, modulePreload: false },
  server: {
    proxy: {
      "/api": { target: server, ws: true },
      "/instance_name": { target: server },
      "/version": { target: server },
      "/dashboard/key": { target: server },
    },
  },
});
