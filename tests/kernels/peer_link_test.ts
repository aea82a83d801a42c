import { assertEquals } from "@std/assert";
import { createDeviceMemory, type PeerLink, WasmPeerLink } from "../../kernels/mod.ts";

const LENGTHS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100];
const OWN = 2048, PEER = 4096 + 8;

function memories() {
  const own = createDeviceMemory(2 ** 20), peer = createDeviceMemory(2 ** 20);
  return { own, peer, link: new WasmPeerLink(own, peer) as PeerLink };
}

type Values = Float32Array | Float64Array | Int32Array;

/** Fills both memories, runs `op` and compares all of both with what it should do elementwise. */
function check<T extends Values>(
  make: (buffer: ArrayBufferLike) => T,
  run: (link: PeerLink, length: number) => void,
  expected: { own: (a: number, b: number) => number; peer?: (a: number, b: number) => number },
): void {
  for (const length of LENGTHS) {
    const { own, peer, link } = memories();
    const a = make(own.buffer), b = make(peer.buffer);
    for (let i = 0; i < a.length; i++) {
      a[i] = (i * 37) % 101 - 50;
      b[i] = (i * 53) % 97 + (a instanceof Int32Array ? 2 ** 31 - 40 : 0.25);
    }
    const size = a.BYTES_PER_ELEMENT;
    const wantA = a.slice(), wantB = b.slice();
    for (let i = 0; i < length; i++) {
      const x = a[OWN / size + i], y = b[PEER / size + i];
      wantA[OWN / size + i] = expected.own(x, y);
      if (expected.peer) wantB[PEER / size + i] = expected.peer(x, y);
    }
    run(link, length);
    assertEquals(
      [a.findIndex((v, i) => v !== wantA[i]), b.findIndex((v, i) => v !== wantB[i])],
      [-1, -1],
      `${length}`,
    );
  }
}

const f32 = (buffer: ArrayBufferLike) => new Float32Array(buffer);
const sum = (a: number, b: number) => a + b;

Deno.test("WasmPeerLink adds and takes maxima of any length, and touches nothing else", () => {
  check(f32, (link, n) => link.sumF32(OWN, PEER, n), { own: sum });
  check(f32, (link, n) => link.maxF32(OWN, PEER, n), { own: Math.max });
  check((buffer) => new Float64Array(buffer), (link, n) => link.sumF64(OWN, PEER, n), { own: sum });
  check((buffer) => new Int32Array(buffer), (link, n) => link.sumI32(OWN, PEER, n), {
    own: (a, b) => (a + b) | 0,
  });
  check(f32, (link, n) => link.sumBothF32(OWN, PEER, n), { own: sum, peer: sum });
});

Deno.test("WasmPeerLink copies both ways", () => {
  const keep = (a: number) => a, take = (_: number, b: number) => b;
  check(f32, (link, n) => link.copyFromPeer(OWN, PEER, 4 * n), { own: take });
  check(f32, (link, n) => link.copyToPeer(OWN, PEER, 4 * n), { own: keep, peer: keep });
});

Deno.test("WasmPeerLink keeps NaN, signs of zero and infinities", () => {
  const { own, peer, link } = memories();
  const a = f32(own.buffer), b = f32(peer.buffer);
  const pairs = [[NaN, 1], [1, NaN], [-0, -0], [-0, 0], [Infinity, -Infinity], [3e38, 3e38]];
  pairs.forEach(([x, y], i) => [a[512 + i], b[512 + i]] = [x, y]);
  link.sumF32(2048, 2048, pairs.length);
  assertEquals([...a.subarray(512, 518)], [NaN, NaN, -0, 0, NaN, Infinity]);
  pairs.forEach(([x], i) => a[512 + i] = x);
  link.maxF32(2048, 2048, pairs.length);
  assertEquals([...a.subarray(512, 518)], [NaN, NaN, -0, 0, Infinity, Math.fround(3e38)]);
});

Deno.test("WasmPeerLink may link a memory to itself", () => {
  const { own } = memories();
  const self = new WasmPeerLink(own, own), a = f32(own.buffer);
  a.set([1, 2, 3], 512);
  self.copyFromPeer(4096, 2048, 12);
  self.sumF32(4096, 2048, 3);
  assertEquals([...a.subarray(1024, 1027)], [2, 4, 6]);
});

Deno.test("WasmPeerLink sees memory that has grown", () => {
  const { own, peer, link } = memories();
  peer.grow(2);
  f32(peer.buffer)[3 * 65536 / 4] = 5;
  link.copyFromPeer(2048, 3 * 65536, 4);
  assertEquals(f32(own.buffer)[512], 5);
});
