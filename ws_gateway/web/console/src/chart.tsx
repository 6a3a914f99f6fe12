/** A line of the last two minutes; its end and its peak in words, for those who cannot see it. */
import type { JSX } from "preact";

const kWidth = 300;
const kHeight = 64;
/** Room for a line's own width. */
const kMargin = 2;

interface Props {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly (number | undefined)[];
  /** How many values the whole width has. */
  readonly most: number;
  /** What is said while there is no value. */
  readonly without: string;
}

export function Chart({ name, unit, values, most, without }: Props): JSX.Element {
  const known = values.filter((value) => value !== undefined);
  const peak = Math.max(1, ...known);
  const last = known.at(-1);
  const step = kWidth / (most - 1);
  const start = kWidth - (values.length - 1) * step;
  const points = values.flatMap((value, index) =>
    value === undefined
      ? []
      : [
          {
            x: start + index * step,
            y: kHeight - kMargin - (value / peak) * (kHeight - 2 * kMargin),
          },
        ],
  );
  const line = points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const now = last === undefined ? without : `${round(last)} ${unit}`.trim();
  const highest = known.length > 0 ? `, at most ${round(Math.max(...known))}` : "";
  return (
    <figure class="card chart">
      <figcaption>
        {name} <b>{now}</b>
      </figcaption>
      <svg
        viewBox={`0 0 ${kWidth} ${kHeight}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name}: ${now}${highest}`}
      >
        {points.length > 1 && (
          <polygon
            points={`${points[0]!.x.toFixed(1)},${kHeight} ${line} ${points.at(-1)!.x.toFixed(1)},${kHeight}`}
          />
        )}
        {/* A single value is a dot: a line that ends where it begins. */}
        <polyline points={points.length === 1 ? `${line} ${line}` : line} />
      </svg>
      <p class="scale" aria-hidden="true">
        <span>2 min ago</span>
        <span>{known.length > 0 && `peak ${round(Math.max(...known))} ${unit}`}</span>
        <span>now</span>
      </p>
    </figure>
  );
}

function round(value: number): string {
  return value >= 10 ? Math.round(value).toLocaleString() : value.toFixed(1).replace(/\.0$/, "");
}
