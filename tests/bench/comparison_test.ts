import { assertEquals } from "@std/assert";
import {
  describeSummary,
  headings,
  legend,
  markdownTable,
  type Row,
  rowCells,
  type Style,
  summarize,
} from "../../bench/comparison.ts";
import { readSection } from "../../bench/section_text.ts";
import { median } from "../../bench/statistics.ts";

const COLUMNS = [
  { name: "fast", isOurs: true },
  { name: "plain", isOurs: true },
  { name: "Peer", isOurs: false },
];
const STYLE: Style = { what: "case", unit: "units a ms", show: ({ speed }) => speed.toFixed(1) };

function row(label: string, ms: Record<string, number>): Row {
  return { label, ms: new Map(Object.entries(ms)), work: 12 };
}

const ROWS = [
  row("a", { fast: 1, plain: 2, Peer: 3 }),
  row("b", { fast: 2, plain: 4, Peer: 2 }),
  row("c", { fast: 1, plain: 3, Peer: 6 }),
];

Deno.test("median() is the middle one, or the mean of the middle two", () => {
  assertEquals([median([3]), median([9, 1, 2]), median([4, 1, 2, 100])], [3, 2, 3]);
});

Deno.test("rowCells() shows the ratios of all of ours beside the figure of a peer", () => {
  assertEquals(headings(COLUMNS, STYLE), ["case", "fast", "plain", "Peer"]);
  assertEquals(rowCells(ROWS[0], COLUMNS, STYLE), ["a", "12.0", "6.0", "4.0 (3.00 / 1.50)"]);
});

Deno.test("rowCells() shows a dash for who did not take part", () => {
  assertEquals(rowCells(row("a", { fast: 1 }), COLUMNS, STYLE), ["a", "12.0", "-", "-"]);
  assertEquals(rowCells(row("a", { fast: 1, Peer: 2 }), COLUMNS, STYLE)[3], "6.0 (2.00 / -)");
});

Deno.test("legend() explains the brackets only if there are peers", () => {
  assertEquals(
    legend(COLUMNS, STYLE),
    "Medians, units a ms; in brackets the speed of fast / plain over it.",
  );
  assertEquals(legend(COLUMNS.slice(0, 2), STYLE), "Medians, units a ms.");
});

Deno.test("summarize() gives median and smallest ratio for each of ours and each peer", () => {
  assertEquals(summarize(ROWS, COLUMNS).map(describeSummary), [
    "fast over Peer: median 3.00 x, min 1.00 x",
    "plain over Peer: median 1.50 x, min 0.50 x",
  ]);
  assertEquals(summarize(ROWS, COLUMNS.slice(0, 2)), []);
});

Deno.test("markdownTable() is aligned as deno fmt has it", () => {
  const table = markdownTable([["case", "a"], ["first", "1.0"]]);
  assertEquals(table, "| case  | a   |\n| ----- | --- |\n| first | 1.0 |");
});

Deno.test("readSection() prints a line a row, then the summary, and returns the same as Markdown", async () => {
  const section = {
    ...{
      title: "Title",
      columns: COLUMNS,
      style: STYLE,
      isSummedUp: true,
      absent: ["X is not measured: why; what to do"],
    },
    rows: ReadableStream.from(ROWS),
  };
  const lines: string[] = [];
  const text = await readSection(section, {
    bench: "matmul",
    isJson: false,
    print: (line) => lines.push(line),
  });
  assertEquals(lines.length, 3 + 1 + ROWS.length + 2 + 1);
  assertEquals(text.split("\n")[0], "## Title");
  assertEquals(text.split("\n").filter((line) => line.startsWith("|")).length, 2 + ROWS.length);
  assertEquals(text.split("\n").slice(-3)[2], "- X is not measured: why; what to do");
});

Deno.test("readSection() prints one JSON line a figure", async () => {
  const section = {
    ...{ title: "T", columns: COLUMNS, style: STYLE, absent: [], isSummedUp: true },
    rows: ReadableStream.from(ROWS),
  };
  const lines: string[] = [];
  await readSection(section, { bench: "step", isJson: true, print: (line) => lines.push(line) });
  assertEquals(lines.length, ROWS.length * COLUMNS.length);
  const expected = { bench: "step", section: "T", case: "a", contestant: "Peer", ms: 3, speed: 4 };
  assertEquals(JSON.parse(lines[2]), { ...expected, ratios: { fast: 3, plain: 1.5 } });
});
