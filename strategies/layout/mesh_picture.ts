/**
 * Draws a mesh: where every rank stands, which ranks form a group, and what the members of a group divide.
 *
 * ```text
 * 8 devices: dp 2 x pp 2 x tp 2
 *
 *             tp 0  tp 1
 * dp 0  pp 0     0     1
 *       pp 1     2     3
 *
 * dp 1  pp 0     4     5
 *       pp 1     6     7
 *
 * tp divides every weight matrix: 0 1 | 2 3 | 4 5 | 6 7
 * pp divides the layers: 0 2 | 1 3 | 4 6 | 5 7
 * dp divides the batch, each member has the whole model: 0 4 | 1 5 | 2 6 | 3 7
 * ```
 */
import { AXES, type Axis, type Mesh } from "./mesh.ts";

/** Longest line. */
const WIDTH = 100;

const DIVIDES: Readonly<Record<Axis, string>> = {
  tp: "divides every weight matrix",
  cp: "divides the sequence",
  ep: "divides the experts",
  pp: "divides the layers",
  dp: "divides the batch, each member has the whole model",
};

/**
 * Draws a mesh: a table of ranks with the innermost axis across, then the groups along each axis.
 *
 * @param options.sp The tensor axis is that of sequence parallelism, too.
 * @returns Several lines; no newline at the end. Axes of degree 1 are left out.
 */
export function drawMesh(mesh: Mesh, { sp = false }: { readonly sp?: boolean } = {}): string {
  const axes = AXES.filter((axis) => mesh.degrees[axis] > 1);
  if (axes.length === 0) return "1 device: rank 0 holds everything";
  const title = `${mesh.size} devices: ${axes.map((axis) => `${axis} ${mesh.degrees[axis]}`).join(" x ")}`;
  const groups = axes.toReversed().flatMap((axis) => drawGroups(mesh, axis, sp));
  return [title, "", ...drawTable(mesh, axes), "", ...groups].join("\n");
}

function drawTable(mesh: Mesh, axes: readonly Axis[]): string[] {
  const across = axes.at(-1)!, down = axes.slice(0, -1);
  const degree = mesh.degrees[across];
  const maxColumns = down.length === 0 ? 16 : 8;
  const starts = Array.from({ length: mesh.size / degree }, (_, row) => row * degree);
  const lines: string[] = [];
  for (let column = 0; column < degree; column += maxColumns) {
    const columns = Array.from({ length: Math.min(maxColumns, degree - column) }, (_, i) => column + i);
    if (column > 0) lines.push("");
    lines.push(drawRow(down.map(() => ""), columns.map((i) => `${across} ${i}`)));
    let before: number | undefined;
    for (const start of starts) {
      const turns = down.filter((axis) =>
        before === undefined || hasTurned(mesh, { before, start }, axis, down)
      );
      if (before !== undefined && down.length > 1 && turns.includes(down[0])) lines.push("");
      const labels = down.map((axis) =>
        turns.includes(axis) ? `${axis} ${mesh.coordinates(start)[axis]}` : ""
      );
      lines.push(drawRow(labels, columns.map((i) => String(start + i))));
      before = start;
    }
  }
  return lines;
}

/** Whether an axis, or one outside it, has another coordinate than in the row before. */
function hasTurned(
  mesh: Mesh,
  { before, start }: { readonly before: number; readonly start: number },
  axis: Axis,
  axes: readonly Axis[],
): boolean {
  const [old, now] = [mesh.coordinates(before), mesh.coordinates(start)];
  return axes.slice(0, axes.indexOf(axis) + 1).some((outer) => old[outer] !== now[outer]);
}

function drawRow(labels: readonly string[], cells: readonly string[]): string {
  return [...labels.map((label) => label.padEnd(6)), ...cells.map((cell) => cell.padStart(5) + " ")].join("")
    .trimEnd();
}

function drawGroups(mesh: Mesh, axis: Axis, sp: boolean): string[] {
  const ranks = Array.from({ length: mesh.size }, (_, rank) => rank);
  const groups = ranks.filter((rank) => mesh.coordinates(rank)[axis] === 0).map((rank) =>
    mesh.line(rank, axis)
  );
  const rows = sp && axis === "tp" ? ", and the rows between them (sp)" : "";
  const lines = [`${axis} ${DIVIDES[axis]}${rows}:`];
  for (const [i, group] of groups.entries()) {
    const text = ` ${drawGroup(group)}${i + 1 < groups.length ? " |" : ""}`;
    if (lines.at(-1)!.length + text.length > WIDTH) lines.push("  ");
    lines[lines.length - 1] += text;
  }
  return lines;
}

/** Ranks of a group; long ones by their first two and last. Ranks of a line of a mesh are evenly spaced. */
function drawGroup(ranks: readonly number[]): string {
  return ranks.length <= 8 ? ranks.join(" ") : `${ranks[0]} ${ranks[1]} .. ${ranks.at(-1)}`;
}
