/**
 * All-reduce of OpenMPI through FFI: run by mpirun on every rank, with the tasks as argument; rank 0 prints the times.
 *
 * The loop is that of ours (`all_reduce_program.ts`): the same sizes and operations in place, after a pass over all
 * of them to warm up.
 */
import type { AllReduceTask } from "../collectives/collectives_peers.ts";

const LIBRARY = "libmpi.so.40";
/** Of dlfcn.h: OpenMPI's plug-ins look its symbols up in the whole process. */
const RTLD_NOW = 2, RTLD_GLOBAL = 0x100;
/** Of mpi.h. */
const IN_PLACE = Deno.UnsafePointer.create(1n), THREAD_FUNNELED = 1;

const SYMBOLS = {
  MPI_Init_thread: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "i32" },
  MPI_Comm_rank: { parameters: ["pointer", "buffer"], result: "i32" },
  MPI_Allreduce: {
    parameters: ["pointer", "pointer", "i32", "pointer", "pointer", "pointer"],
    result: "i32",
  },
  MPI_Barrier: { parameters: ["pointer"], result: "i32" },
  MPI_Finalize: { parameters: [], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Opens OpenMPI, and the addresses that its header's constants stand for. */
function openMpi() {
  const libc = Deno.dlopen("libc.so.6", {
    dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
    dlsym: { parameters: ["pointer", "buffer"], result: "pointer" },
  }).symbols;
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const handle = libc.dlopen(text(LIBRARY), RTLD_NOW | RTLD_GLOBAL);
  const [world, float, sum] = ["ompi_mpi_comm_world", "ompi_mpi_float", "ompi_mpi_op_sum"].map((name) =>
    libc.dlsym(handle, text(name))
  );
  return { mpi: Deno.dlopen(LIBRARY, SYMBOLS).symbols, world, float, sum };
}

function main(tasks: readonly AllReduceTask[]): void {
  const { mpi, world, float, sum } = openMpi(), out = new Int32Array(1);
  mpi.MPI_Init_thread(null, null, THREAD_FUNNELED, out);
  mpi.MPI_Comm_rank(world, out);
  const buffer = new Float32Array(Math.max(...tasks.map(({ bytes }) => bytes)) / 4).fill(0);
  const address = Deno.UnsafePointer.of(buffer);
  const reduce = (bytes: number) => mpi.MPI_Allreduce(IN_PLACE, address, bytes / 4, float, sum, world);
  for (const { bytes, count } of tasks) for (let i = 0; i < count; i++) reduce(bytes);
  const allTimes = tasks.map(({ bytes, count, samples }) => {
    const times: number[] = [];
    for (let sample = 0; sample < samples; sample++) {
      mpi.MPI_Barrier(world);
      const start = performance.now();
      for (let i = 0; i < count; i++) reduce(bytes);
      times.push((performance.now() - start) / count);
    }
    return times;
  });
  if (out[0] === 0) console.log(JSON.stringify(allTimes));
  mpi.MPI_Finalize();
}

main(JSON.parse(Deno.args[0]));
