/** A long list of rows of one height, of which only those in sight are in the document. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface Props<T> {
  readonly items: readonly T[];
  readonly rowHeight: number;
  readonly label: string;
  readonly row: (item: T) => ComponentChildren;
  readonly keyOf: (item: T) => string | number;
}

const kOverscan = 6;

export function VirtualList<T>({ items, rowHeight, label, row, keyOf }: Props<T>): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  useEffect(() => {
    const element = box.current!;
    const read = (): void => {
      const { scrollTop: top, clientHeight: height } = element;
      setView((before) =>
        before.top === top && before.height === height ? before : { top, height },
      );
    };
    read();
    element.addEventListener("scroll", read, { passive: true });
    const resized = new ResizeObserver(read);
    resized.observe(element);
    return () => {
      element.removeEventListener("scroll", read);
      resized.disconnect();
    };
  }, []);
  // A list that has become shorter shows its end, not the void behind it.
  const top = Math.min(view.top, Math.max(0, items.length * rowHeight - view.height));
  const first = Math.max(0, Math.floor(top / rowHeight) - kOverscan);
  const last = Math.min(items.length, Math.ceil((top + view.height) / rowHeight) + kOverscan);
  return (
    <div class="virtual" ref={box} tabIndex={0} role="group" aria-label={label}>
      {/* A list without a row is none to a screen reader. */}
      <div
        class="virtual-body"
        style={{ height: `${items.length * rowHeight}px` }}
        role={items.length > 0 ? "list" : undefined}
      >
        {items.slice(first, last).map((item, index) => (
          <div
            key={keyOf(item)}
            role="listitem"
            aria-posinset={first + index + 1}
            aria-setsize={items.length}
            class="virtual-row"
            style={{ top: `${(first + index) * rowHeight}px`, height: `${rowHeight}px` }}
          >
            {row(item)}
          </div>
        ))}
      </div>
    </div>
  );
}
