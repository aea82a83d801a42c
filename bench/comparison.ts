/**
 * Figures of ours and of peers beside each other: cases are rows, contestants are columns, and beside each figure
 * of a peer stands the ratio of ours over it.
 *
 * @module
 */
import { median } from "./statistics.ts";

/** A contestant as a column. */
export interface Column {
  readonly name: string;
  readonly isOurs: boolean;
}

/** A measured case. */
export interface Row {
  /** What was measured, in words. */
  readonly label: string;
  /** Median time by contestant, in ms; who did not take part is left out. */
  readonly ms: ReadonlyMap<string, number>;
  /** What is done in that time: a speed is `work / ms`. */
  readonly work: number;
}

/** How figures are shown. */
export interface Style {
  /** Heading of the first column. */
  readonly what: string;
  /** Unit of the figures, in words. */
  readonly unit: string;
  /** Text of a figure. */
  readonly show: (figure: { ms: number; speed: number }) => string;
}

/** Ratios of one of ours over a peer, over all cases. */
export interface RatioSummary {
  readonly ours: string;
  readonly peer: string;
  readonly median: number;
  readonly min: number;
}

/** How many times as fast as a peer one of ours is. */
export function ratio({ ms }: Row, ours: string, peer: string): number | undefined {
  const own = ms.get(ours), other = ms.get(peer);
  return own === undefined || other === undefined ? undefined : other / own;
}

/** Cells of a row: our figures, then those of the peers with the ratios, one for each of ours. */
export function rowCells(row: Row, columns: readonly Column[], { show }: Style): string[] {
  const ours = columns.filter(({ isOurs }) => isOurs);
  return [
    row.label,
    ...columns.map(({ name, isOurs }) => {
      const ms = row.ms.get(name);
      if (ms === undefined) return "-";
      const figure = show({ ms, speed: row.work / ms });
      if (isOurs) return figure;
      const ratios = ours.map((own) => ratio(row, own.name, name)?.toFixed(2) ?? "-");
      return `${figure} (${ratios.join(" / ")})`;
    }),
  ];
}

/** Headings of the columns. */
export function headings(columns: readonly Column[], { what }: Style): string[] {
  return [what, ...columns.map(({ name }) => name)];
}

/** What the numbers mean, in one line. */
export function legend(columns: readonly Column[], { unit }: Style): string {
  const ours = columns.filter(({ isOurs }) => isOurs).map(({ name }) => name);
  const hasPeers = ours.length < columns.length;
  return `Medians, ${unit}${hasPeers ? `; in brackets the speed of ${ours.join(" / ")} over it` : ""}.`;
}

/** Median and smallest ratio of each of ours over each peer. */
export function summarize(rows: readonly Row[], columns: readonly Column[]): RatioSummary[] {
  const ours = columns.filter(({ isOurs }) => isOurs), peers = columns.filter(({ isOurs }) => !isOurs);
  return peers.flatMap((peer) =>
    ours.flatMap((own) => {
      const ratios = rows.map((row) => ratio(row, own.name, peer.name)).filter((x) => x !== undefined);
      if (ratios.length === 0) return [];
      return [{ ours: own.name, peer: peer.name, median: median(ratios), min: Math.min(...ratios) }];
    })
  );
}

/** A summary as a line. */
export function describeSummary({ ours, peer, median, min }: RatioSummary): string {
  return `${ours} over ${peer}: median ${median.toFixed(2)} x, min ${min.toFixed(2)} x`;
}

/** Cells as a Markdown table, aligned. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(3, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  const [head, ...body] = rows;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
