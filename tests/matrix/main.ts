/**
 * The composition matrix: every legal cell must have the bits of one device, every other must be refused by name.
 *
 * Options: `--shard I/N` (every N-th cell from the I-th), `--sample N` (N cells, evenly spread), `--out FILE` (a line of
 * JSON for each cell), `--table FILE...` (runs nothing: prints the table of such files).
 */
import { allCells, type Cell, nameOf } from "./cells.ts";
import { type CellRecord, runCell } from "./run_cell.ts";
import { matrixTable } from "./table.ts";

/** Cells in an order that has all kinds early, the same each time: steps of a prime number. */
export function pickCells(
  { shard = [0, 1], sample = Infinity }: { shard?: readonly number[]; sample?: number },
): Cell[] {
  const cells = [...allCells()], stride = 3571, [index, count] = shard;
  const mixed = cells.map((_, i) => cells[i * stride % cells.length]);
  return mixed.slice(0, sample).filter((_, i) => i % count === index);
}

async function main(args: readonly string[]): Promise<number> {
  const valueOf = (name: string) => args.includes(name) ? args[args.indexOf(name) + 1] : undefined;
  if (args[0] === "--table") {
    const lines = args.slice(1).flatMap((file) => Deno.readTextFileSync(file).trim().split("\n"));
    console.log(matrixTable(lines.map((line) => JSON.parse(line) as CellRecord)));
    return 0;
  }
  const sample = Number(valueOf("--sample") ?? Infinity), out = valueOf("--out");
  const cells = pickCells({ shard: valueOf("--shard")?.split("/").map(Number), sample }),
    records: CellRecord[] = [];
  for (const [i, cell] of cells.entries()) {
    const record = { cell, ...await runCell(cell) };
    records.push(record);
    if (out !== undefined) Deno.writeTextFileSync(out, `${JSON.stringify(record)}\n`, { append: true });
    if (record.kind === "different" || record.kind === "failed") {
      console.log(`${nameOf(cell)}: ${record.kind}: ${record.reason}`);
    }
    if (i % 200 === 199) console.log(`${i + 1} of ${cells.length} cells`);
  }
  console.log(matrixTable(records));
  const failed = records.filter(({ kind }) => kind === "different" || kind === "failed").length;
  // As `deno test` ends, so that a script counts both alike.
  console.log(`\n${failed === 0 ? "ok" : "FAILED"} | ${records.length - failed} passed | ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
