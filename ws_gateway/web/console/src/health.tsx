/** How the desk does, as seen from this page and as the gateway reports it. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Chart } from "./chart";
import { desk, useConnection, useEachSecond } from "./desk";
import { history, kHistorySeconds } from "./history";

export function Health(): JSX.Element {
  const state = useConnection();
  useEachSecond(() => history.seconds.at(-1)?.at ?? 0);
  const { readiness, hasMetrics } = useGateway();
  const seconds = history.seconds;
  const chart = { most: kHistorySeconds, without: "none yet" };
  return (
    <section aria-labelledby="health-title">
      <h2 id="health-title">Health</h2>
      <dl class="facts card">
        <dt>Connection</dt>
        <dd>{state.kind}</dd>
        <dt>Gateway</dt>
        <dd>{readiness}</dd>
        <dt>Position</dt>
        <dd>{desk.position ? desk.position.after.toLocaleString() : "none yet"}</dd>
        <dt>Desk</dt>
        <dd>
          <code>{desk.position?.desk ?? "…"}</code>
        </dd>
        <dt>Answers on their way</dt>
        <dd>{desk.unanswered}</dd>
      </dl>
      <div class="charts">
        <Chart
          {...chart}
          name="Events a second"
          unit=""
          values={seconds.map(({ events }) => events)}
        />
        <Chart
          {...chart}
          name="Delivery delay, median"
          unit="ms"
          values={seconds.map(({ delayMs }) => delayMs)}
        />
        <Chart
          {...chart}
          name="Open questions"
          unit=""
          values={seconds.map(({ questions }) => questions)}
        />
        <Chart
          {...chart}
          name="Connected browsers"
          without={hasMetrics ? "none yet" : "not reported"}
          unit=""
          values={seconds.map(({ browsers }) => browsers)}
        />
      </div>
      <p class="quiet">
        Delay is from an event's commit, by the desk's clock, until this page had it. Connected
        browsers are counted while this view is open.
      </p>
    </section>
  );
}

interface Gateway {
  readonly readiness: string;
  readonly hasMetrics: boolean;
}

/** What the gateway says of itself, asked while the view is open. */
function useGateway(): Gateway {
  const [gateway, setGateway] = useState<Gateway>({ readiness: "…", hasMetrics: true });
  useEffect(() => {
    let current = true;
    let hasMetrics = true;
    const look = async (): Promise<void> => {
      const readiness = await askReadiness();
      const metrics = hasMetrics ? await fetch("/metrics").catch(() => undefined) : undefined;
      hasMetrics &&= metrics?.status !== 404;
      const browsers = metrics?.ok ? connectedBrowsers(await metrics.text()) : undefined;
      if (!current) return;
      history.browsers = browsers;
      setGateway({ readiness, hasMetrics });
    };
    void look();
    const timer = setInterval(() => void look(), 1000);
    return () => {
      current = false;
      history.browsers = undefined;
      clearInterval(timer);
    };
  }, []);
  return gateway;
}

async function askReadiness(): Promise<string> {
  try {
    const response = await fetch("/readyz");
    if (response.ok) return "ready";
    const { error } = (await response.json()) as { error: { message: string } };
    return `not ready: ${error.message}`;
  } catch {
    return "cannot be reached";
  }
}

/** Of Prometheus' text: the browsers that are connected, by whichever protocol. */
function connectedBrowsers(metrics: string): number | undefined {
  const found = [...metrics.matchAll(/^agentdesk_ws_connections(?:\{.*\})? (\S+)/gm)];
  return found.length > 0 ? found.reduce((sum, [, value]) => sum + Number(value), 0) : undefined;
}
