/**
 * A backend that does everything three times: with float32 copies of rounded operands, with bf16 ones (all, or some), and
 * as asked. The first two must agree in every bit of what is stored. With it the whole conformance suite tests bf16.
 */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  type Backend,
  bf16Backend,
  type DeviceHeap,
  fromBf16,
  RowKernel,
  type Span,
} from "../../../kernels/mod.ts";

/** Which operands become bf16, by where they lie. */
export type Choice = (line: number) => boolean;

/** Bytes of test data that are mirrored. */
const MIRRORED = 5 * 2 ** 20;
/** These are always float32. */
const ALWAYS_F32 = ["logSumExp", "partLogSumExp", "weights"];

/** Parts of a fused projection have the type of the first. */
const ANCHORS: Record<string, string> = { k: "q", v: "q", dK: "dQ", dV: "dQ" };

/** Wraps `inner`; operands that the choice names are bf16 in the second run. */
export function mirrorBackend(inner: Backend, choose: Choice): Backend {
  const { heap } = inner, bf16 = bf16Backend(inner);
  const half = heap.allocate("bf16", MIRRORED / 2, "workspace", "bf16").byteOffset;
  const [wide, other] = ["f32", "others"].map((name) =>
    heap.allocate(name, MIRRORED / 4, "workspace").byteOffset
  );
  const base = heap.extentBytes - 1024;
  const place = ({ byteOffset }: Span) => byteOffset - base;
  const inWide = (span: Span): Span => ({ ...span, byteOffset: wide + place(span) });
  const inHalf = (span: Span): Span => (
    { byteOffset: half + place(span) / 2, length: span.length, dtype: "bf16" }
  );
  const inOther = (span: Span): Span => ({ ...span, byteOffset: other + place(span) });
  let anchors: Record<string, Span> = {};
  const inMirror = (span: Span, field: string): Span =>
    choose(place(anchors[ANCHORS[field]] ?? span) >> 6) && !ALWAYS_F32.includes(field)
      ? inHalf(span)
      : inOther(span);
  return new Proxy(inner, {
    get(_, op: keyof Backend) {
      const method = inner[op];
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        const spans: [span: Span, field: string][] = [];
        mapSpans(args, (span, field) => (spans.push([span, field]), span));
        anchors = Object.fromEntries(spans.map(([span, field]) => [field, span]));
        if (spans.some(([span]) => span.byteOffset - base + 4 * span.length > MIRRORED)) {
          return Reflect.apply(method as never, inner, args);
        }
        // Rounded in every copy: spans of a fused projection overlap.
        for (const [span] of spans) bf16.copy(span, inHalf(span));
        for (const [span] of spans) {
          bf16.copy(inHalf(span), inWide(span));
          bf16.copy(inHalf(span), inOther(span));
        }
        const call = (backend: Backend, given: unknown[]) =>
          attempt(() => Reflect.apply(backend[op] as never, backend, given));
        const want = call(inner, mapSpans(args, inWide)), got = call(bf16, mapSpans(args, inMirror));
        assertEquals([op, got.error?.name], [op, want.error?.name]);
        if (want.error === undefined) {
          compare({ op, bf16 }, spans.map(([span, field]) => [inMirror(span, field), inWide(span), field]));
        }
        if (typeof want.value === "number" && Number.isFinite(want.value)) {
          assertAlmostEquals(got.value as number, want.value, 1e-12 * Math.abs(want.value));
        }
        return Reflect.apply(method as never, inner, args);
      };
    },
  });
}

/** What is stored as bf16 must be what float32 is rounded to, and float32 the same. */
function compare(
  { op, bf16 }: { op: string; bf16: Backend },
  spans: [got: Span, want: Span, field: string][],
): void {
  const { heap } = bf16;
  for (const [got, want, field] of spans) {
    const stored = got.dtype === "bf16" ? bits(heap, got) : [...heap.f32(got)];
    // In place: aliases of one span are compared once each, and rounding twice changes nothing.
    const rounded = { ...got };
    if (got.dtype === "bf16") bf16.copy(want, rounded);
    const wanted = got.dtype === "bf16" ? bits(heap, rounded) : [...heap.f32(want)];
    const at = stored.findIndex((x, i) => !Object.is(x, wanted[i]));
    assert(at < 0, `${op}: element ${at} of ${field} is ${stored[at]}, not ${wanted[at]}`);
  }
}

function bits(heap: DeviceHeap, span: Span): number[] {
  return Array.from(heap.u16(span), fromBf16);
}

function attempt(run: () => unknown): { value?: unknown; error?: Error } {
  try {
    return { value: run() };
  } catch (error) {
    return { error: error as Error };
  }
}

/** The arguments with other float32 spans. */
function mapSpans(args: unknown[], change: (span: Span, field: string) => Span): unknown[] {
  const visit = (value: unknown, field: string): unknown => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    if (value instanceof RowKernel) return value;
    if ("byteOffset" in value) return (value as Span).dtype === "f32" ? change(value as Span, field) : value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, visit(part, key)]));
  };
  return args.map((value, i) => visit(value, `argument ${i}`));
}
