import { writeAllSync } from "../files/mod.ts";

/** Where a painter paints. */
export interface Screen {
  /** Writes text as it is. */
  write(text: string): void;
  /** Columns now; they change when the window does. */
  columns(): number;
}

const HIDE_CURSOR = "\x1b[?25l", SHOW_CURSOR = "\x1b[?25h";
const WRAP_OFF = "\x1b[?7l", WRAP_ON = "\x1b[?7h";
const CLEAR_LINE = "\x1b[K", CLEAR_BELOW = "\x1b[J";

/** Least time between two frames: ten a second. */
const FRAME_MS = 100;

/** The terminal that standard output is. */
export function standardScreen(): Screen {
  const encoder = new TextEncoder();
  return {
    write(text) {
      writeAllSync(Deno.stdout, encoder.encode(text));
    },
    columns() {
      try {
        return Deno.consoleSize().columns;
      } catch {
        return 80;
      }
    },
  };
}

/**
 * Paints frames over one another, at the bottom of what the terminal shows.
 *
 * The cursor is hidden and lines do not wrap until {@link close}, which must be called on every way out.
 */
export class Painter {
  readonly #screen: Screen;
  #numLines = 0;
  #lastMs = -Infinity;
  #isOpen = false;

  /** Makes a painter that has not touched its screen yet. */
  constructor(screen: Screen = standardScreen()) {
    this.#screen = screen;
  }

  /**
   * Paints a frame unless the last one is younger than a tenth of a second.
   *
   * @param render Called with the columns when a frame is due.
   * @returns Whether it painted.
   */
  paint(render: (columns: number) => readonly string[], nowMs: number): boolean {
    if (nowMs - this.#lastMs < FRAME_MS) return false;
    this.#lastMs = nowMs;
    const lines = render(this.#screen.columns());
    this.#screen.write(
      this.#open() + this.#toTop() + lines.map((line) => `${line}${CLEAR_LINE}\n`).join("") + CLEAR_BELOW,
    );
    this.#numLines = lines.length;
    return true;
  }

  /** Prints a line that stays, above the frame; the frame comes back with the next {@link paint}. */
  print(line: string): void {
    this.#screen.write(`${this.#toTop()}${CLEAR_BELOW}${line}\n`);
    this.#numLines = 0;
    this.#lastMs = -Infinity;
  }

  /** Leaves the last frame where it is and gives the terminal back as it was. */
  close(): void {
    if (this.#isOpen) this.#screen.write(WRAP_ON + SHOW_CURSOR);
    this.#isOpen = false;
    this.#numLines = 0;
  }

  /** Gives the terminal back at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #open(): string {
    if (this.#isOpen) return "";
    this.#isOpen = true;
    return HIDE_CURSOR + WRAP_OFF;
  }

  #toTop(): string {
    return this.#numLines === 0 ? "" : `\x1b[${this.#numLines}A\r`;
  }
}
