import { WasmBackend } from "../../kernels/mod.ts";
import { NARROW_TILE, WIDE_TILE } from "../../kernels/wasm/gemm.ts";
import { testBackend } from "../conformance/backend_cases.ts";

testBackend("wasm, narrow tile", (heap) => new WasmBackend(heap, NARROW_TILE));
testBackend("wasm, wide tile", (heap) => new WasmBackend(heap, WIDE_TILE));
