import { assertEquals } from "@std/assert";
import { Painter } from "../../cli/terminal_painter.ts";

/** A terminal that understands the few codes that Painter writes. */
class FakeScreen {
  rows: string[] = [""];
  isCursorHidden = false;
  doesWrap = true;
  #row = 0;

  columns(): number {
    return 20;
  }

  write(text: string): void {
    // deno-lint-ignore no-control-regex
    for (const part of text.match(/\x1b\[[?\d]*[A-Za-z]|\n|\r|[^\x1b\n\r]+/g) ?? []) this.#apply(part);
  }

  #apply(part: string): void {
    if (part === "\n") {
      if (++this.#row === this.rows.length) this.rows.push("");
    } else if (part === "\x1b[?25l" || part === "\x1b[?25h") this.isCursorHidden = part.endsWith("l");
    else if (part === "\x1b[?7l" || part === "\x1b[?7h") this.doesWrap = part.endsWith("h");
    else if (part === "\x1b[J") this.rows.length = this.#row + 1, this.rows[this.#row] = "";
    else if (part.endsWith("A")) this.#row -= Number(part.slice(2, -1));
    else if (part !== "\r" && part !== "\x1b[K") this.rows[this.#row] = part;
  }
}

Deno.test("Painter paints frames over one another and gives the terminal back", () => {
  const screen = new FakeScreen();
  const painter = new Painter(screen);
  assertEquals(painter.paint((columns) => ["a", `${columns}`, "c"], 0), true);
  assertEquals([screen.rows, screen.isCursorHidden, screen.doesWrap], [["a", "20", "c", ""], true, false]);
  painter.paint(() => ["d", "e"], 200);
  assertEquals(screen.rows, ["d", "e", ""]);
  painter.close();
  painter.close();
  assertEquals([screen.rows, screen.isCursorHidden, screen.doesWrap], [["d", "e", ""], false, true]);
});

Deno.test("Painter paints at most ten frames a second", () => {
  const screen = new FakeScreen();
  using painter = new Painter(screen);
  const painted = [0, 50, 99, 100, 150, 201].filter((ms) => painter.paint(() => [`${ms}`], ms));
  assertEquals(painted, [0, 100, 201]);
});

Deno.test("Painter prints lines that stay above the frame", () => {
  const screen = new FakeScreen();
  using painter = new Painter(screen);
  painter.paint(() => ["frame 1", "more"], 0);
  painter.print("saved out/step-10");
  painter.paint(() => ["frame 2", "more"], 1);
  assertEquals(screen.rows, ["saved out/step-10", "frame 2", "more", ""]);
});
