import type { DeviceView } from "../../actors/mod.ts";
import type { Group } from "../../collectives/mod.ts";
import type { Parameter } from "../../nn/mod.ts";
import type { ParameterStore } from "../../strategies/mod.ts";

/** The parameters of a rank, and which of them it answers for: every element of the model counts on one rank. */
export class HeldParameters {
  /** Those of its pipeline stages. */
  readonly stores: readonly ParameterStore[];
  /** First and last stage, which hold copies of shared parameters; undefined elsewhere, and without a pipeline. */
  readonly ends: Group | undefined;
  /** Names of parameters that another stage holds, too. */
  readonly sharedNames: readonly string[];
  readonly #device: DeviceView;

  /** Looks where the rank stands. */
  constructor(device: DeviceView, stores: readonly ParameterStore[]) {
    const { index, size } = device.group("pp"), isEnd = size > 1 && (index === 0 || index === size - 1);
    this.#device = device;
    this.stores = stores;
    this.ends = isEnd ? device.group("ends") : undefined;
    this.sharedNames = isEnd ? stores.flatMap((store) => store.sharedNames) : [];
  }

  /** Other ranks add to the gradient of a parameter. */
  isCrossing({ name }: Parameter): boolean {
    return this.#device.group("data").size > 1 || this.sharedNames.includes(name);
  }

  /** What several ranks hold whole counts on the first of them. */
  countsHere({ name, shard }: Parameter): boolean {
    if (shard === undefined ? this.#device.group("tp").index > 0 : shard.isCopy) return false;
    return !(this.ends?.index === 1 && this.sharedNames.includes(name));
  }
}
