import { AbsentPeer, type Contestant, type Entry } from "../peer.ts";
import { lastLine, ServedProcess } from "../served_process.ts";
import type { StepAnswer, StepSetUp, StepTask } from "./step_task.ts";

const NAME = "PyTorch DDP";
/** Of `PATH`, and the one that Debian's packages are for, should another hide it. */
const INTERPRETERS = ["python3", "/usr/bin/python3"];

/** PyTorch's DistributedDataParallel over gloo: a process with one thread for each device. */
export function torchEntry(setUp: StepSetUp): Entry<StepTask, StepAnswer> {
  return { name: NAME, open: () => openTorch(setUp) };
}

async function openTorch(setUp: StepSetUp): Promise<Contestant<StepTask, StepAnswer>> {
  const python = await findPython();
  const ranks = Array.from({ length: setUp.devices }, (_, rank) =>
    new ServedProcess({
      name: NAME,
      command: python,
      args: [new URL("../peers/torch_step.py", import.meta.url).pathname],
      env: {
        ...{ OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", GLOO_SOCKET_IFNAME: "lo" },
        ...{ RANK: String(rank), WORLD_SIZE: String(setUp.devices) },
      },
    }));
  const askAll = <Answer>(message: unknown) => Promise.all(ranks.map((rank) => rank.ask<Answer>(message)));
  const close = async () => {
    await Promise.all(ranks.map((rank) => rank.close()));
  };
  try {
    await askAll(setUp);
  } catch (error) {
    await close();
    throw error;
  }
  return { name: NAME, isOurs: false, round: async (task) => joinAnswers(await askAll(task)), close };
}

/** Steps take as long as rank 0 says, for all wait for each other; a loss is the mean over the ranks. */
function joinAnswers(answers: readonly StepAnswer[]): StepAnswer {
  const [{ ms, losses }] = answers;
  const mean = (i: number) => answers.reduce((sum, answer) => sum + answer.losses[i], 0) / answers.length;
  return { ms, losses: losses.map((_, i) => mean(i)) };
}

async function findPython(): Promise<string> {
  let reason = "there is no python3";
  for (const command of INTERPRETERS) {
    try {
      const args = ["-c", "import numpy, torch.distributed"];
      const { success, stderr } = await new Deno.Command(command, { args, stderr: "piped" }).output();
      if (success) return command;
      reason = lastLine(new TextDecoder().decode(stderr));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new AbsentPeer(`python3 has no PyTorch (${reason})`, "install PyTorch (Debian: python3-torch)");
}
