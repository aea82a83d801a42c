import { asUsageError, UsageError } from "../files/mod.ts";
import type { Scope } from "../nn/mod.ts";
import { checkExactPlan, checkPlan, expertsOf } from "../strategies/mod.ts";
import { type EngineModel, stageRanges } from "./engine/mod.ts";

/**
 * Checks everything about the layout of an engine that needs no device.
 *
 * @throws {UsageError} If the model cannot be cut that way.
 */
export function checkEngineLayout({ parts, sizes, degrees: { tp, pp, ep }, isExact }: EngineModel): void {
  const build = (scope: Scope) => parts.layers.forEach((layer) => layer.build(scope));
  const { experts = 0 } = sizes;
  if (ep > 1 && experts === 0) {
    throw new UsageError(`Cannot use --ep ${ep}: the model has no experts; leave it out`);
  }
  asUsageError(() => {
    if (ep > 1) expertsOf(experts, { size: ep, index: 0 });
    stageRanges(parts, pp);
    checkPlan(parts.plan, tp, build);
    if (isExact) checkExactPlan(parts.plan, { tp, sp: false }, build);
  });
}
