/// <reference lib="deno.worker" />
/** One rank of a test world: attaches to a fresh control block for every run and calls one program. */
import { Endpoint, type Topology, type WaitOptions } from "../../../collectives/mod.ts";
import { DeviceHeap } from "../../../kernels/mod.ts";
import { type Program, PROGRAMS } from "./programs.ts";

/** What the test sends for a run. */
export interface RunRequest {
  program: string;
  config: unknown;
  rank: number;
  topology: Topology;
  buffer: SharedArrayBuffer;
  memories: WebAssembly.Memory[];
  startBytes: number;
  capBytes: number;
  wait: WaitOptions;
}

/** What the worker answers. */
export type RunReply = { value: unknown } | { error: { name: string; message: string } };

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = ({ data }: MessageEvent<RunRequest>) => {
  const { rank, topology, buffer, memories, startBytes, capBytes, wait } = data;
  const heap = new DeviceHeap({ capBytes, memory: memories[rank] });
  heap.allocate("what lies before", startBytes / 4, "buffers");
  const endpoint = Endpoint.attach({ buffer, topology, rank, memories, heap, wait });
  let reply: RunReply;
  try {
    endpoint.status.setState("running");
    const program: Program = PROGRAMS[data.program];
    reply = { value: program({ endpoint, heap, rank, worldSize: topology.worldSize, config: data.config }) };
    endpoint.status.setState("finished");
  } catch (error) {
    const { name, message } = error as Error;
    endpoint.abort.raise(rank, `${name}: ${message}`);
    endpoint.status.setState("failed");
    reply = { error: { name, message } };
  }
  scope.postMessage(reply);
};
