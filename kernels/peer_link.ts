import { type Kernel, type Kernels, ModuleBuilder } from "./wasm/builder.ts";
import { addPeerBf16 } from "./wasm/bf16.ts";
import { compileOnce } from "./wasm/compile_once.ts";
import { load } from "./wasm/loads.ts";
import { type I32Local, type V128 } from "./wasm/values.ts";
import { storeVectors } from "./wasm/walk.ts";

/**
 * Arithmetic between the memory of this device ("own") and that of one peer, without a message.
 *
 * Offsets are bytes, counts are elements. Nothing here orders memory: the caller's words do.
 */
export interface PeerLink {
  /** float32: `own += peer`. */
  sumF32(ownOffset: number, peerOffset: number, length: number): void;
  /** float32: `own = max(own, peer)`; NaN if either is NaN. */
  maxF32(ownOffset: number, peerOffset: number, length: number): void;
  /** float64: `own += peer`. */
  sumF64(ownOffset: number, peerOffset: number, length: number): void;
  /** int32: `own += peer`, wraps. */
  sumI32(ownOffset: number, peerOffset: number, length: number): void;
  /** float32: `own = peer = own + peer`, in one pass over both memories. */
  sumBothF32(ownOffset: number, peerOffset: number, length: number): void;
  /** bf16: `own += peer`, added in float32 and rounded. */
  sumBf16(ownOffset: number, peerOffset: number, length: number): void;
  /** bf16: `own = peer = own + peer`, added in float32 and rounded once. */
  sumBothBf16(ownOffset: number, peerOffset: number, length: number): void;
  /** `own = peer`, float32 of bf16. */
  widenBf16(ownOffset: number, peerOffset: number, length: number): void;
  /** `own += peer`, float32 and bf16. */
  addBf16(ownOffset: number, peerOffset: number, length: number): void;
  /** `own = peer`, bf16 of float32, rounded. */
  narrowBf16(ownOffset: number, peerOffset: number, length: number): void;
  /** Copies from the peer's memory into this one. */
  copyFromPeer(ownOffset: number, peerOffset: number, byteLength: number): void;
  /** Copies from this memory into the peer's. */
  copyToPeer(ownOffset: number, peerOffset: number, byteLength: number): void;
}

/** Index of the memories that a link imports. */
const OWN = 0, PEER = 1;
/** Bytes of a turn of the loops: four vectors, so that V8 can widen pairs of stores to 256 bits. */
const TURN_BYTES = 64;

interface Elementwise {
  elementBytes: 4 | 8;
  vector(own: V128, peer: V128): V128;
  scalar(k: Kernel, own: I32Local, peer: I32Local): void;
  /** Whether the result goes to the peer's memory too. */
  toBoth?: boolean;
}

const SUM_F32: Elementwise = {
  elementBytes: 4,
  vector: (own, peer) => own.add(peer),
  scalar: (k, own, peer) => k.storeF32(own, load.f32(own).add(load.f32(peer, { memory: PEER }))),
};

const ELEMENTWISE: Record<string, Elementwise> = {
  sumF32: SUM_F32,
  maxF32: {
    elementBytes: 4,
    vector: (own, peer) => own.max(peer),
    scalar: (k, own, peer) => k.storeF32(own, load.f32(own).max(load.f32(peer, { memory: PEER }))),
  },
  sumF64: {
    elementBytes: 8,
    vector: (own, peer) => own.addF64(peer),
    scalar: (k, own, peer) => k.storeF64(own, load.f64(own).add(load.f64(peer, { memory: PEER }))),
  },
  sumI32: {
    elementBytes: 4,
    vector: (own, peer) => own.addI32(peer),
    scalar: (k, own, peer) => k.storeI32(own, load.i32(own).add(load.i32(peer, { memory: PEER }))),
  },
  sumBothF32: {
    elementBytes: 4,
    vector: SUM_F32.vector,
    scalar: (k, own, peer) => {
      SUM_F32.scalar(k, own, peer);
      k.storeF32(peer, load.f32(own), { memory: PEER });
    },
    toBoth: true,
  },
};

/** A {@link PeerLink} over two shared memories: one WebAssembly instance that imports both. */
export class WasmPeerLink implements PeerLink {
  readonly #kernels: Kernels;

  /** Binds the kernels to two memories, which may be the same; the bytes are compiled once. */
  constructor(own: WebAssembly.Memory, peer: WebAssembly.Memory) {
    const env = { [`memory${OWN}`]: own, [`memory${PEER}`]: peer };
    this.#kernels = new WebAssembly.Instance(peerLinkModule(), { env }).exports as Kernels;
  }

  /** float32: `own += peer`. */
  sumF32(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.sumF32(ownOffset, peerOffset, length);
  }

  /** float32: `own = max(own, peer)`; NaN if either is NaN. */
  maxF32(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.maxF32(ownOffset, peerOffset, length);
  }

  /** float64: `own += peer`. */
  sumF64(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.sumF64(ownOffset, peerOffset, length);
  }

  /** int32: `own += peer`, wraps. */
  sumI32(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.sumI32(ownOffset, peerOffset, length);
  }

  /** float32: `own = peer = own + peer`, in one pass over both memories. */
  sumBothF32(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.sumBothF32(ownOffset, peerOffset, length);
  }

  /** bf16: `own += peer`, added in float32 and rounded. */
  sumBf16(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.sumBf16(ownOffset, peerOffset, length);
  }

  /** bf16: `own = peer = own + peer`, added in float32 and rounded once. */
  sumBothBf16(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.sumBothBf16(ownOffset, peerOffset, length);
  }

  /** `own = peer`, float32 of bf16. */
  widenBf16(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.widenBf16(ownOffset, peerOffset, length);
  }

  /** `own += peer`, float32 and bf16. */
  addBf16(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.addBf16(ownOffset, peerOffset, length);
  }

  /** `own = peer`, bf16 of float32, rounded. */
  narrowBf16(ownOffset: number, peerOffset: number, length: number): void {
    this.#kernels.narrowBf16(ownOffset, peerOffset, length);
  }

  /** Copies from the peer's memory into this one. */
  copyFromPeer(ownOffset: number, peerOffset: number, byteLength: number): void {
    this.#kernels.copyFromPeer(ownOffset, peerOffset, byteLength);
  }

  /** Copies from this memory into the peer's. */
  copyToPeer(ownOffset: number, peerOffset: number, byteLength: number): void {
    this.#kernels.copyToPeer(ownOffset, peerOffset, byteLength);
  }
}

/** The module of every link. */
export function peerLinkModule(): WebAssembly.Module {
  return compileOnce("peer link", encodePeerLink);
}

function encodePeerLink(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(2);
  const copy = { own: "i32", peer: "i32", bytes: "i32" } as const;
  module.func("copyFromPeer", copy, (k, { own, peer, bytes }) => {
    k.copy(own, peer, bytes, { to: OWN, from: PEER });
  });
  module.func("copyToPeer", copy, (k, { own, peer, bytes }) => {
    k.copy(peer, own, bytes, { to: PEER, from: OWN });
  });
  for (const [name, op] of Object.entries(ELEMENTWISE)) addElementwise(module, name, op);
  addPeerBf16(module);
  return module.encode();
}

/** `own = op(own, peer)`: turns of four vectors (loads, sums, adjacent stores), then one element at a time. */
function addElementwise(module: ModuleBuilder, name: string, op: Elementwise): void {
  module.func(name, { own: "i32", peer: "i32", length: "i32" }, (k, { own, peer, length }) => {
    const places = [0, 16, 32, 48];
    const left = k.i32(length.mul(op.elementBytes));
    const advance = (bytes: number) => {
      own.set(own.add(bytes));
      peer.set(peer.add(bytes));
      left.set(left.sub(bytes));
    };
    k.while(left.geU(TURN_BYTES), () => {
      const results = places.map((offset) =>
        k.let(op.vector(load.v128(own, { offset }), load.v128(peer, { offset, memory: PEER })))
      );
      storeVectors(k, own, results);
      if (op.toBoth) storeVectors(k, peer, results, { memory: PEER });
      advance(TURN_BYTES);
    });
    k.while(left, () => {
      op.scalar(k, own, peer);
      advance(op.elementBytes);
    });
  });
}
