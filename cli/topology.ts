import { AXES, type Axis, drawMesh, layoutOf, parseLayout } from "../strategies/mod.ts";
import { asUsageError, UsageError } from "../files/mod.ts";
import { parseArguments, parseNumber } from "./arguments.ts";

const HELP = `Draws how ranks form a mesh: who talks to whom.

Usage: topology [LAYOUT] [OPTIONS]       LAYOUT (or --layout): such as "data(2, pipeline(2, tensor(2, sp)))"

  --dp N --pp N --ep N --cp N --tp N     degrees by axis, instead of a layout
  --zero 0..3                            what the data axis shards [0]
  --sp                                   rows between split layers are shared out over --tp, too
  --json                                 print ranks with their coordinates`;

/** The command `topology`. */
export function topology(args: string[]): Promise<number> {
  const { options, positionals, isHelp } = parseArguments(args, {
    values: [...AXES, "zero", "layout"],
    flags: ["json", "sp"],
    positionals: ["LAYOUT"],
  });
  if (isHelp) {
    console.log(HELP);
    return Promise.resolve(0);
  }
  const layout = asUsageError(() => {
    const [positional] = positionals, text = positional ?? options.layout;
    if (positional !== undefined && options.layout !== undefined) {
      throw new UsageError(
        `Cannot use both LAYOUT (${positional}) and --layout (${options.layout}): give one`,
      );
    }
    if (text !== undefined) return parseLayout(String(text));
    const given = AXES.filter((axis) => options[axis] !== undefined);
    const degree = (axis: Axis) => parseNumber(axis, options[axis], { min: 1, max: 1024, isInteger: true });
    const stage = parseNumber("zero", options.zero ?? "0", { min: 0, max: 3, isInteger: true }) as
      | 0
      | 1
      | 2
      | 3;
    return layoutOf(Object.fromEntries(given.map((axis) => [axis, degree(axis)])), {
      stage,
      sp: options.sp === true,
    });
  });
  const mesh = layout.mesh();
  if (options.json) {
    const ranks = Array.from({ length: mesh.size }, (_, rank) => ({ rank, ...mesh.coordinates(rank) }));
    console.log(JSON.stringify({ layout: layout.toString(), degrees: mesh.degrees, sp: layout.sp, ranks }));
  } else console.log(`${layout.toString()}\n\n${drawMesh(mesh, layout)}`);
  return Promise.resolve(0);
}
