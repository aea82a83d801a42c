import { launch } from "../../actors/mod.ts";
import { formatBytes } from "../../kernels/mod.ts";
import { Mesh } from "../../strategies/mod.ts";
import type { Row, Style } from "../comparison.ts";
import { AbsentPeer, type Contestant, type Entry, type Lineup, openAll } from "../peer.ts";
import { denoCommand, lastLine } from "../served_process.ts";
import { median } from "../statistics.ts";

/** All-reduces of one size, in place. */
export interface AllReduceTask {
  readonly bytes: number;
  /** Operations of a sample; before the first sample of all, every task is done once to warm up. */
  readonly count: number;
  readonly samples: number;
}

/** By task, the mean time of an operation in each sample. */
export type AllReduceAnswer = readonly (readonly number[])[];

/** A lineup of `bench collectives --peers`. */
export type AllReduceLineup = Lineup<readonly AllReduceTask[], AllReduceAnswer>;

/** How its figures are shown. */
export const ALL_REDUCE_STYLE: Style = {
  what: "all-reduce of",
  unit: "time of one operation",
  show: ({ ms }) => ms < 1 ? `${(1000 * ms).toPrecision(3)} us` : `${ms.toPrecision(3)} ms`,
};

const SIZES = [10, 12, 14, 16, 18, 20, 22, 24, 26].map((log2) => 2 ** log2);
/** Bytes of the operations of a sample, and their largest number. */
const SAMPLE_BYTES = 64 * 2 ** 20, MAX_COUNT = 500;
const SAMPLES = 3, ROUNDS = 5;

/** Tasks for so many devices, at most two of which run at a time: what is large takes few operations. */
export function allReduceTasks(sizes: readonly number[] = SIZES, samples: number = SAMPLES): AllReduceTask[] {
  const countOf = (bytes: number) => Math.max(1, Math.min(MAX_COUNT, Math.round(SAMPLE_BYTES / bytes)));
  return sizes.map((bytes) => ({ bytes, count: countOf(bytes), samples }));
}

/** Starts all who take part. */
export function openAllReduceLineup(devices: number): Promise<AllReduceLineup> {
  return openAll([ourEntry(devices), mpiEntry(devices)]);
}

type AllReduceEntry = Entry<readonly AllReduceTask[], AllReduceAnswer>;
type AllReduceContestant = Contestant<readonly AllReduceTask[], AllReduceAnswer>;

function ourEntry(devices: number): AllReduceEntry {
  const round = async (tasks: readonly AllReduceTask[]) => {
    const [answer] = await launch({
      program: import.meta.resolve("./all_reduce_program.ts"),
      config: tasks,
      topology: new Mesh({ dp: devices }).topology(),
      deviceMemoryBytes: 2 * Math.max(...tasks.map(({ bytes }) => bytes)) + 64 * 2 ** 20,
    }).done;
    return answer as AllReduceAnswer;
  };
  const ours: AllReduceContestant = { name: "ours", isOurs: true, round, close: () => Promise.resolve() };
  return { name: ours.name, open: () => Promise.resolve(ours) };
}

const MPI = "OpenMPI";

/** OpenMPI under mpirun, which starts the ranks for each round: ranks that wait for work would spin. */
function mpiEntry(devices: number): AllReduceEntry {
  const { command, args } = denoCommand(MPI, "./peers/mpi_all_reduce.ts", { permissions: ["--allow-ffi"] });
  const mpirun = ["--allow-run-as-root", "--oversubscribe", "-n", String(devices), command, ...args];
  return {
    name: MPI,
    async open() {
      const peer: AllReduceContestant = {
        name: MPI,
        isOurs: false,
        round: async (tasks) => JSON.parse(await runMpi([...mpirun, JSON.stringify(tasks)])),
        close: () => Promise.resolve(),
      };
      await peer.round([{ bytes: 1024, count: 1, samples: 1 }]);
      return peer;
    },
  };
}

const REMEDY = "install OpenMPI (Debian: openmpi-bin and libopenmpi-dev)";

async function runMpi(args: string[]): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command("mpirun", { args, stdout: "piped", stderr: "piped" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new AbsentPeer("there is no mpirun", REMEDY);
    throw error;
  }
  const { success, stdout, stderr } = output, text = new TextDecoder().decode(stdout);
  if (success) return lastLine(text);
  throw new AbsentPeer(`mpirun failed (${lastLine(new TextDecoder().decode(stderr))})`, REMEDY);
}

/** Measures the all-reduce in alternate rounds of all who take part. */
export async function compareAllReduce(
  { contestants }: AllReduceLineup,
  tasks: readonly AllReduceTask[] = allReduceTasks(),
  { rounds = ROUNDS }: { rounds?: number } = {},
): Promise<Row[]> {
  const times = tasks.map(() => new Map<string, number[]>());
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      const answer = await contestant.round(tasks), { name } = contestant;
      answer.forEach((ms, i) => times[i].set(name, [...times[i].get(name) ?? [], ...ms]));
    }
  }
  return tasks.map(({ bytes }, i) => {
    const ms = new Map([...times[i]].map(([name, values]) => [name, median(values)]));
    // Bytes a microsecond are MB/s; the speed is in GB/s.
    return { label: formatBytes(bytes), ms, work: bytes / 1e6 };
  });
}
