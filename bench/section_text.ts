import {
  describeSummary,
  headings,
  legend,
  markdownTable,
  ratio,
  rowCells,
  summarize,
} from "./comparison.ts";
import type { Row } from "./comparison.ts";
import type { BenchName, Section } from "./sections.ts";

/** How a section is shown while it is measured. */
export interface Show {
  readonly bench: BenchName;
  /** One JSON line a figure, instead of a table. */
  readonly isJson: boolean;
  readonly print: (line: string) => void;
}

const LABEL_WIDTH = 60, CELL_WIDTH = 20;

/** Reads a section to its end and prints what it measures; returns it as Markdown. */
export async function readSection(section: Section, { bench, isJson, print }: Show): Promise<string> {
  const { title, columns, style, absent } = section, rows: Row[] = [];
  if (isJson) { for (const line of absent) print(JSON.stringify({ bench, section: title, absent: line })); }
  else {
    for (const line of [title, legend(columns, style), ...absent]) print(line);
    print(pad(headings(columns, style)));
  }
  for await (const row of section.rows) {
    rows.push(row);
    if (isJson) { for (const record of records(bench, row, section)) print(JSON.stringify(record)); }
    else print(pad(rowCells(row, columns, style)));
  }
  const summary = section.isSummedUp ? summarize(rows, columns).map(describeSummary) : [];
  if (!isJson) { for (const line of [...summary, ""]) print(line); }
  const cells = [headings(columns, style), ...rows.map((row) => rowCells(row, columns, style))];
  const notes = [...summary, ...absent].map((line) => `- ${line}`);
  const parts = [`## ${title}`, legend(columns, style), markdownTable(cells), notes.join("\n")];
  return parts.filter((part) => part !== "").join("\n\n");
}

function pad([label, ...cells]: readonly string[]): string {
  return [label.padEnd(LABEL_WIDTH), ...cells.map((cell) => cell.padEnd(CELL_WIDTH))].join(" ").trimEnd();
}

/** The figures of a row, one for each contestant. */
function records(bench: BenchName, row: Row, { title, columns }: Section): Record<string, unknown>[] {
  const ours = columns.filter(({ isOurs }) => isOurs);
  return columns.filter(({ name }) => row.ms.has(name)).map(({ name, isOurs }) => {
    const ms = row.ms.get(name)!;
    const ratios = isOurs
      ? {}
      : Object.fromEntries(ours.map((own) => [own.name, ratio(row, own.name, name)]));
    return { bench, section: title, case: row.label, contestant: name, ms, speed: row.work / ms, ratios };
  });
}
