/**
 * A layout as one option: `--layout "data(2, tensor(2))"` stands for the options of its axes.
 *
 * @module
 */
import { asUsageError, UsageError } from "../../files/mod.ts";
import { AXES, type Degrees, type Layout, parseLayout } from "../../strategies/mod.ts";
import { flagOf } from "./option_names.ts";
import type { GivenOptions } from "./options.ts";

/**
 * Options with those that a layout stands for in its place: `dp`, `pp`, `ep`, `cp`, `tp`, `sp` and `zero`.
 *
 * @throws {UsageError} If the layout is none, shards over a part of the replicas, or an option beside it says otherwise.
 */
export function expandLayout(given: GivenOptions): GivenOptions {
  const { layout: text, ...others } = given;
  if (text === undefined) return given;
  const layout = asUsageError(() => parseLayout(String(text))), { stage, replicate } = layout.zero;
  if (stage > 0 && replicate > 1) {
    throw new UsageError(
      `Cannot use --layout "${layout}": zero${stage} inside data is drawn, and not trained yet; ` +
        `use zero${stage}(${layout.degrees.dp})`,
    );
  }
  const named = { ...layout.degrees, sp: layout.sp, zero: stage };
  for (const key of [...AXES, "sp", "zero"] as const) {
    const other = others[key];
    if (other === undefined || String(other) === String(named[key])) continue;
    throw new UsageError(
      `Cannot use both --layout "${layout}" and ${flagOf(key)} ${other}: ` +
        `the layout has ${key} ${named[key]}; give one of them`,
    );
  }
  return { ...others, ...named };
}

/**
 * Options with a layout, and the degrees of a mesh, in the form of options; they may come from a program without types.
 *
 * @throws {UsageError} If the mesh has an axis that does not exist, or a degree other than that of the option.
 */
export function withLayout(
  options: GivenOptions,
  { layout, mesh = {} }: { readonly layout?: Layout | string; readonly mesh?: Partial<Degrees> },
): GivenOptions {
  for (const [axis, degree] of Object.entries(mesh)) {
    if (!(AXES as readonly string[]).includes(axis)) {
      throw new UsageError(`Cannot use mesh axis ${axis}: axes are ${AXES.join(", ")}`);
    }
    const other = options[axis];
    if (other === undefined || Number(other) === degree) continue;
    throw new UsageError(`Cannot use both mesh ${axis} ${degree} and option ${axis} ${other}: give one`);
  }
  return { ...options, ...mesh, ...(layout === undefined ? {} : { layout: String(layout) }) };
}
