import { ControlLayout, type Group, PlannedGroup } from "../../../collectives/mod.ts";
import { DeviceHeap } from "../../../kernels/mod.ts";

/**
 * A group whose operations do nothing: right for a group of one, and enough for plans of larger ones.
 *
 * @param own Operations that a test looks at.
 */
export function fakeGroup(size = 1, index = 0, own: Partial<Group> = {}): Group {
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  const layout = new ControlLayout({ worldSize: size, groups: [{ name: "fake", ranks }] });
  const heap = new DeviceHeap({ capBytes: Number.MAX_SAFE_INTEGER });
  return Object.assign(new PlannedGroup({ layout, group: 0, rank: index }, heap, () => {}), own);
}
