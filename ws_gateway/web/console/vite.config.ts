import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

// `AGENTDESK_GATEWAY=http://127.0.0.1:8000 npx vite console` serves the page from its sources.
const gateway = process.env["AGENTDESK_GATEWAY"] ?? "http://127.0.0.1:8000";
const calls = ["/tickets", "/sessions", "/questions", "/jobs", "/metrics", "/readyz"];

export default defineConfig({
  plugins: [preact()],
  build: {
    outDir: "../../../build/web/console",
    emptyOutDir: true,
    // The page's policy allows no script and no picture that stands in the text.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/ws": { target: gateway, ws: true },
      ...Object.fromEntries(calls.map((path) => [path, gateway])),
    },
  },
});
