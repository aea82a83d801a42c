/** OpenBLAS on one thread, through FFI; found on the machine, never installed. */
import { operand, type PreparedProduct, timeProduct } from "../matmul/matmul_contestant.ts";
import type { MatmulShape } from "../matmul/matmul_shapes.ts";
import { AbsentPeer } from "../peer.ts";
import { serve } from "../serve.ts";

const LIBRARY = "libopenblas.so.0";
/** Values of enums in cblas.h. */
const ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112;

const SYMBOLS = {
  cblas_sgemm: {
    // Order, TransA, TransB, M, N, K, alpha, A, lda, B, ldb, beta, C, ldc.
    parameters: [
      ...["i32", "i32", "i32", "i32", "i32", "i32", "f32"] as const,
      ...["buffer", "i32", "buffer", "i32", "f32", "buffer", "i32"] as const,
    ],
    result: "void",
  },
  openblas_set_num_threads: { parameters: ["i32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

function openLibrary(): Deno.DynamicLibrary<typeof SYMBOLS>["symbols"] {
  try {
    return Deno.dlopen(LIBRARY, SYMBOLS).symbols;
  } catch {
    throw new AbsentPeer(`${LIBRARY} cannot be loaded`, "install OpenBLAS (Debian: libopenblas0-pthread)");
  }
}

/** Prepares products in OpenBLAS. */
function openBlasProducts(): (shape: MatmulShape) => PreparedProduct {
  const blas = openLibrary();
  blas.openblas_set_num_threads(1);
  return ({ m, n, k, transposeA, transposeB }) => {
    const a = operand(m * k), b = operand(k * n), c = new Float32Array(m * n);
    const [opA, lda] = transposeA ? [TRANS, m] : [NO_TRANS, k];
    const [opB, ldb] = transposeB ? [TRANS, k] : [NO_TRANS, n];
    return {
      run: () => blas.cblas_sgemm(ROW_MAJOR, opA, opB, m, n, k, 1, a, lda, b, ldb, 0, c, n),
      last: () => c[m * n - 1],
      dispose: () => {},
    };
  };
}

await serve(() => {
  const prepare = openBlasProducts();
  return Promise.resolve((task: Parameters<typeof timeProduct>[1]) => timeProduct(prepare, task));
});
