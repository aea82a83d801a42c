import { phantomHeap } from "../../kernels/mod.ts";
import { type LayerFactory, type Parameter, Scope, type Sharding } from "../../nn/mod.ts";
import { isExpertParameter } from "../expert/mod.ts";

/** A parameter's place in its bucket. */
export interface BucketEntry {
  /** Full name of the parameter. */
  readonly name: string;
  /** First element, counted from the start of the bucket. */
  readonly offset: number;
  /** Elements that this device holds. */
  readonly length: number;
}

/** Parameters that lie together in memory and are reduced, gathered and updated together. */
export interface BucketPlan {
  /** The layer, or the shared parameter. */
  readonly name: string;
  /** Elements, gaps included. */
  readonly length: number;
  /** A single parameter that several layers use, perhaps on different devices. */
  readonly isShared: boolean;
  /** Experts: summed over fewer ranks than other parameters. */
  readonly isExpert: boolean;
  /** Frozen: there are values only. */
  readonly isFrozen: boolean;
  /**
   * Place of the bucket whose values these are, if this is a further use of a shared parameter by another layer: only
   * its gradient is apart.
   */
  readonly furtherUseOf?: number;
  /** Members in order. */
  readonly entries: readonly BucketEntry[];
}

/** Which buckets a layer's passes use. */
export interface LayerPlan {
  /** Name of the layer. */
  readonly name: string;
  /** Places of its buckets in the list of buckets. */
  readonly buckets: readonly number[];
}

/** Buckets of the layers of this device. */
export interface BucketPlans {
  /** In the order of first use. */
  readonly buckets: readonly BucketPlan[];
  /** By layer, in order. */
  readonly layers: readonly LayerPlan[];
}

/** Elements: parameters start on 64-byte lines. */
const ALIGN = 16;

/**
 * One bucket per layer, one for its experts if it has any, the same for what of them is frozen, and one for every parameter that several layers of the
 * whole model use, so that its copies on different pipeline stages lie alike.
 *
 * Builds the layers on a phantom heap; cost: none of their memory.
 *
 * @param all Every layer of the model, which says what is shared.
 * @param own Layers of this device.
 * @param separateUses A shared parameter has one gradient for each use, in buckets of their own.
 */
export function planBuckets(
  all: readonly LayerFactory[],
  own: readonly LayerFactory[],
  sharding: Sharding | undefined,
  separateUses = false,
): BucketPlans {
  const sharedNames = new Set(buildPhantom(all, { sharding }).scope.sharedRequests);
  const built = buildPhantom(own, { sharding, sharedNames, separateUses });
  const { newNames, usedShared, usedAgain, scope } = built;
  const lengths = new Map(scope.parameters.map((parameter) => [parameter.name, parameter.span.length]));
  const frozenNames = new Set(scope.parameters.filter((p) => !p.isTrained).map(({ name }) => name));
  const buckets: BucketPlan[] = [], placeOf = new Map<string, number>();
  const open = (
    name: string,
    members: readonly string[],
    kind: { isShared?: true; isExpert?: boolean } = {},
  ): number => {
    const known = placeOf.get(name);
    if (known !== undefined) return known;
    placeOf.set(name, buckets.length);
    const isFrozen = frozenNames.has(members[0]);
    buckets.push({
      ...{ isShared: false, isExpert: false, isFrozen, ...kind },
      ...makeBucket(name, members, lengths),
    });
    return buckets.length - 1;
  };
  const layers = own.map(({ name }, i) => {
    const shared = usedShared[i].map((parameter) => open(parameter, [parameter], { isShared: true }));
    for (const parameter of usedAgain[i]) {
      const again = makeBucket(furtherUseName(parameter), [parameter], lengths),
        place = placeOf.get(parameter);
      const kind = { isShared: true, isExpert: false, isFrozen: false };
      shared.push(buckets.push({ ...kind, furtherUseOf: place, ...again }) - 1);
    }
    const members = newNames[i].filter((parameter) => !sharedNames.has(parameter));
    const own = [`layer ${name}`, `experts of ${name}`].flatMap((what, i) => {
      const isExpert = i === 1, ofKind = members.filter((member) => isExpertParameter(member) === isExpert);
      const frozen = ofKind.filter((member) => frozenNames.has(member));
      const trained = ofKind.filter((member) => !frozenNames.has(member));
      return [[what, trained], [`frozen ${what}`, frozen]] as const;
    }).filter(([, kind]) => kind.length > 0).map(([what, kind]) =>
      open(what, kind, { isExpert: isExpertParameter(kind[0]) })
    );
    return { name, buckets: [...shared, ...own] };
  });
  return { buckets, layers };
}

/** The first layer with something to train. */
export function firstTrained({ buckets, layers }: BucketPlans): number {
  return Math.max(0, layers.findIndex((layer) => layer.buckets.some((place) => !buckets[place].isFrozen)));
}

/** Name of the bucket of a further use of a shared parameter. */
function furtherUseName(parameter: string): string {
  return `${parameter} (second use)`;
}

/** Elements of the parameters that each layer makes, whole ones. */
export function countParameters(layers: readonly LayerFactory[]): number[] {
  const scope = Scope.of({ heap: phantomHeap(), seed: 0 });
  return layers.map((layer) => {
    const before = scope.parameters.length;
    layer.build(scope);
    return scope.parameters.slice(before).reduce((sum, parameter) => sum + parameter.span.length, 0);
  });
}

interface Phantom {
  readonly scope: Scope;
  /** By layer: parameters that it made. */
  readonly newNames: string[][];
  /** By layer: shared parameters that it uses. */
  readonly usedShared: string[][];
  /** By layer: shared parameters that it uses apart from earlier uses. */
  readonly usedAgain: string[][];
}

function buildPhantom(
  layers: readonly LayerFactory[],
  { sharding, sharedNames = new Set(), separateUses = false }: {
    sharding: Sharding | undefined;
    sharedNames?: ReadonlySet<string>;
    separateUses?: boolean;
  },
): Phantom {
  const useAgain = separateUses ? ({ span }: Parameter) => span : undefined;
  const scope = Scope.of({ heap: phantomHeap(), seed: 0, sharding, useAgain });
  const newNames: string[][] = [], usedShared: string[][] = [], usedAgain: string[][] = [];
  for (const layer of layers) {
    const before = scope.parameters.length, requestedBefore = scope.sharedRequests.length;
    const usesBefore = scope.furtherUses.length;
    layer.build(scope);
    const made = scope.parameters.slice(before).map((parameter: Parameter) => parameter.name);
    newNames.push(made);
    // A request that is no further use made the parameter, or, if uses are not apart, is one more of the known one.
    const requested = scope.sharedRequests.slice(requestedBefore).filter((name) =>
      !separateUses || scope.parameters.some((known) => known.name === name && !known.isTrained)
    );
    usedAgain.push(scope.furtherUses.slice(usesBefore).map(({ name }) => name));
    usedShared.push([...new Set([...made.filter((name) => sharedNames.has(name)), ...requested])]);
  }
  return { scope, newNames, usedShared, usedAgain };
}

function makeBucket(
  name: string,
  members: readonly string[],
  lengths: ReadonlyMap<string, number>,
): Pick<BucketPlan, "name" | "length" | "entries"> {
  let offset = 0;
  const entries = members.map((member) => {
    const entry = { name: member, offset, length: lengths.get(member)! };
    offset += Math.ceil(entry.length / ALIGN) * ALIGN;
    return entry;
  });
  return { name, length: offset, entries };
}
