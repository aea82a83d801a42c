import type { Pending, ProcessGroup } from "../../../collectives/mod.ts";

/** A group whose operations do nothing: right for a group of one, and enough for plans of larger ones. */
export function fakeGroup(size = 1, index = 0): ProcessGroup {
  const done = { poll: () => true, wait: () => {} } as unknown as Pending;
  return {
    ...{ size, index, name: "fake", ranks: Array.from({ length: size }, (_, rank) => rank) },
    ...{ allReduce: () => {}, allGather: () => {}, progress: () => false },
    ...{ startAllReduce: () => done, startReduceScatter: () => done, startAllGather: () => done },
  } as unknown as ProcessGroup;
}
