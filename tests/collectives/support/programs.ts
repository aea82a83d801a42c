/** Programs that every rank of a test world runs; results and configurations are plain data. */
import type { AllReduceOptions, Endpoint, Group } from "../../../collectives/mod.ts";
import { chunkOf } from "../../../collectives/mod.ts";
import {
  type Elements,
  serialAllGather,
  serialAllReduce,
  serialAllToAll,
  serialReduceScatter,
  serialRingAllReduce,
} from "../../../collectives/algorithms/serial.ts";
import {
  type DeviceHeap,
  type DType,
  fromBf16,
  readElements,
  type Span,
  toBf16,
  writeElements,
} from "../../../kernels/mod.ts";
import { firstDifference, inputOf } from "./inputs.ts";

/** What a program sees. */
export interface Device {
  endpoint: Endpoint;
  heap: DeviceHeap;
  rank: number;
  worldSize: number;
  config: unknown;
}

/** A program; what it returns is sent to the test. */
export type Program = (device: Device) => unknown;

/** One case of the conformance suite. */
export interface Case {
  operation: "allReduce" | "reduceScatter" | "allGather" | "broadcast" | "allToAll" | "sendRecv";
  length: number;
  dtype: DType;
  reduction?: "sum" | "max";
  /** Elements of a row, which no chunk splits. */
  row?: number;
  algorithm?: AllReduceOptions["algorithm"];
}

/** Programs by name. */
export const PROGRAMS: Record<string, Program> = {
  conformance,
  ahead,
  twoGroups,
  calls,
  crossed,
  loop,
  ledger,
};

/** Runs all cases; returns a text for each that differs from its serial twin. */
function conformance({ endpoint, heap, config }: Device): string[] {
  const group = endpoint.group("all");
  return (config as Case[]).flatMap((test) => {
    const expected = expectedOf(test, group), actual = actualOf(test, group, heap);
    const at = firstDifference(actual, expected);
    return at < 0 ? [] : [
      `${JSON.stringify(test)} on ${group.index}/${group.size}: ` +
      `element ${at} is ${actual[at]} instead of ${expected[at]}`,
    ];
  });
}

function expectedOf(
  { operation, length, dtype, reduction, algorithm, row }: Case,
  group: Group,
): Elements {
  const { size, index } = group;
  const inputs = Array.from({ length: size }, (_, i) => inputOf(i, length, dtype));
  const store = dtype === "bf16" ? (x: number) => fromBf16(toBf16(x)) : (x: number) => x;
  switch (operation) {
    case "allReduce":
      if (algorithm === "ring") return serialRingAllReduce(inputs, reduction, store);
      return serialAllReduce(inputs, reduction).map(store);
    case "reduceScatter":
      return serialReduceScatter(inputs, reduction, row)[index].map(store);
    case "allGather":
      return serialAllGather(inputs.map((input, i) => chunkView(input, size, i, row)));
    case "broadcast":
      return inputs[size - 1];
    case "allToAll":
      return serialAllToAll(inputs)[index];
    case "sendRecv":
      return inputs[(index + size - 1) % size];
  }
}

function actualOf(test: Case, group: Group, heap: DeviceHeap): Elements {
  const { operation, length, dtype, row } = test;
  const { size, index } = group;
  const input = inputOf(index, length, dtype);
  const span = write(heap, input, dtype);
  const chunk = chunkOf(length, size, index, row).length;
  const sizes = { reduceScatter: chunk, allGather: length, allToAll: chunk * size, sendRecv: length };
  const output = operation in sizes
    ? heap.allocate("output", sizes[operation as "allGather"], "workspace", dtype)
    : span;
  if (operation === "allReduce") group.allReduce(span, { ...test, label: "case" });
  if (operation === "reduceScatter") group.reduceScatter(span, output, { reduction: test.reduction, row });
  if (operation === "allGather") {
    const own = write(heap, chunkView(input, size, index, row), dtype);
    group.allGather(own, output, { row });
    heap.free(own);
  }
  if (operation === "broadcast") group.broadcast(span, size - 1);
  if (operation === "allToAll") group.allToAll(span, output);
  if (operation === "sendRecv") {
    const sent = group.startSend(span, (index + 1) % size);
    group.recv(output, (index + size - 1) % size);
    sent.wait();
  }
  const result = view(heap, output).slice() as Elements;
  if (output !== span) heap.free(output);
  heap.free(span);
  return result;
}

/** Announces many all-reduces ahead, of several algorithms, and waits for the last first. */
function ahead({ endpoint, heap, rank, worldSize, config }: Device): string[] {
  const { count, length } = config as { count: number; length: number };
  const group = endpoint.group("all");
  const spans = Array.from({ length: count }, (_, i) => write(heap, inputOf(rank, length + i, "f32"), "f32"));
  const pending = spans.map((span, i) =>
    group.startAllReduce(span, { algorithm: i % 3 === 2 ? "ring" : "auto" })
  );
  while (!pending[count >> 1].poll()) group.progress();
  pending[count - 1].wait();
  return spans.flatMap((span, i) => {
    const inputs = Array.from({ length: worldSize }, (_, r) => inputOf(r, length + i, "f32") as Float32Array);
    const expected = (i % 3 === 2 ? serialRingAllReduce : serialAllReduce)(inputs);
    const at = firstDifference(heap.f32(span), expected);
    return at < 0 && pending[i].poll() ? [] : [`span ${i} differs at ${at}`];
  });
}

/** A blocking operation of one group must progress what is pending in another. */
function twoGroups({ endpoint, heap, rank }: Device): number {
  const rows = endpoint.group("rows"), columns = endpoint.group("columns");
  const a = write(heap, Float32Array.of(rank + 1), "f32"),
    b = write(heap, Float32Array.of(10 * (rank + 1)), "f32");
  const first = rank % 2 === 0 ? rows.startAllReduce(a) : columns.startAllReduce(b);
  (rank % 2 === 0 ? columns : rows).allReduce(rank % 2 === 0 ? b : a);
  first.wait();
  return heap.f32(a)[0] + 1000 * heap.f32(b)[0];
}

/** Calls one operation per rank: `[operation, length]`, or null to return at once. */
function calls({ endpoint, heap, rank, config }: Device): void {
  const call = (config as ([string, number] | null)[])[rank];
  if (call === null) return;
  const [operation, length] = call;
  const group = endpoint.group("all");
  const span = write(heap, new Float32Array(length), "f32");
  const label = `tensor ${rank}`;
  if (operation === "barrier") group.barrier({ label });
  if (operation === "allReduce") group.allReduce(span, { label });
  if (operation === "ring") group.allReduce(span, { label, algorithm: "ring" });
  if (operation.startsWith("rows")) {
    const own = write(heap, new Float32Array(length / group.size), "f32");
    group.allGather(own, span, { label, row: Number(operation.at(-1)) });
  }
  if (operation === "max") group.allReduce(span, { label, reduction: "max" });
  if (operation.startsWith("broadcast")) group.broadcast(span, Number(operation.at(-1)), { label });
  if (operation.startsWith("send")) group.send(span, Number(operation.at(-1)), { label });
  if (operation.startsWith("recv")) group.recv(span, Number(operation.at(-1)), { label });
  if (operation === "sleep") {
    const end = performance.now() + length;
    while (performance.now() < end) { /* computes, without a collective */ }
    group.barrier({ label });
  }
  if (operation === "throw") throw new TypeError("out of luck");
}

/** Rank 0 starts with group a, rank 1 with group b: neither can go on. */
function crossed({ endpoint, heap, rank }: Device): void {
  const span = write(heap, new Float32Array(3), "f32");
  for (const name of rank === 0 ? ["a", "b"] : ["b", "a"]) {
    endpoint.group(name).allReduce(span, { label: `in ${name}` });
  }
}

/** All-reduces until something fails. */
function loop({ endpoint, heap, rank, config }: Device): void {
  const { length, algorithm, failing, after } = config as {
    length: number;
    algorithm: AllReduceOptions["algorithm"];
    failing: number;
    after: number;
  };
  const span = write(heap, new Float32Array(length), "f32");
  for (let i = 0;; i++) {
    if (rank === failing && i === after) throw new TypeError("out of luck");
    endpoint.group("all").allReduce(span, { algorithm });
  }
}

/** Rank 1 is late by 60 ms: what do the ledgers say? */
function ledger({ endpoint, heap, rank }: Device): unknown {
  const group = endpoint.group("all");
  const span = write(heap, new Float32Array(100_000), "f32");
  group.barrier();
  endpoint.ledger.reset();
  const end = performance.now() + (rank === 1 ? 60 : 0);
  while (performance.now() < end) { /* computes */ }
  group.allReduce(span);
  return endpoint.ledger.read();
}

function chunkView<T extends Elements>(input: T, size: number, index: number, row = 1): T {
  const { start, length } = chunkOf(input.length, size, index, row);
  return input.subarray(start, start + length) as T;
}

function write(heap: DeviceHeap, values: Elements, dtype: DType): Span {
  const span = heap.allocate("test", values.length, "workspace", dtype);
  if (dtype === "bf16") writeElements(heap, span, values as Float32Array);
  else view(heap, span).set(values);
  return span;
}

function view(heap: DeviceHeap, span: Span): Elements {
  const { byteOffset, length, dtype } = span, { buffer } = heap.memory!;
  if (dtype === "bf16") return readElements(heap, span);
  if (dtype === "f64") return new Float64Array(buffer, byteOffset, length);
  if (dtype === "i32") return new Int32Array(buffer, byteOffset, length);
  return new Float32Array(buffer, byteOffset, length);
}
