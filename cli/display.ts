import { describeWasm, now } from "../kernels/mod.ts";
import { plainLine, renderFrame, startView, updateView, type View } from "./terminal.ts";
import { Painter, standardScreen } from "./terminal_painter.ts";
import {
  formatStages,
  type MetricsRecord,
  type PreparedTraining,
  type TrainEvent,
  type TrainResult,
} from "../train/mod.ts";
import { environment } from "./environment.ts";
import { writeOut } from "./output.ts";

/** Which kernels run, and how they would be faster. */
function wasmLines(): string[] {
  const { line, advice } = describeWasm();
  return [`wasm kernels, ${line}`, ...(advice === undefined ? [] : [advice])];
}

/** Whether frames can be painted over one another. */
function canPaint(): boolean {
  return Deno.stdout.isTerminal() && environment("TERM") !== "dumb";
}

/** What a person sees of a run: a live frame on a terminal, plain lines in a pipe. */
export class Display {
  readonly #prepared: PreparedTraining;
  readonly #painter = canPaint() ? new Painter({ ...standardScreen(), write: writeOut }) : undefined;
  #view: View;
  #checkpoint: string | undefined;

  /** Prepares to show a run; nothing is printed yet. */
  constructor(prepared: PreparedTraining) {
    const { familyName: name, job: { config, start } } = prepared;
    this.#prepared = prepared;
    const title = `${name} ${config.layers} x ${config.embed}, ${prepared.mesh.size} device(s)`;
    const { steps, deviceMemoryBytes } = config;
    this.#view = startView({ title, steps, deviceMemoryBytes, hint: "Ctrl-C saves and stops" }, start.losses);
  }

  /** Says what is going to run. */
  open(): void {
    const { job, plan, statement, familyName: name } = this.#prepared, { config, start } = job;
    const model =
      `${name} of ${config.layers} layers, ${config.heads} heads, ${config.embed} wide, context ${config.context}`;
    console.log(`${model}; ${this.#prepared.mesh.size} device(s)`);
    if (config.kernels === "wasm") { for (const line of wasmLines()) console.log(line); }
    else console.log(`${config.kernels} kernels`);
    if (plan.stages.length > 1) console.log(`layers by stage: ${formatStages(plan.stages)}`);
    console.log(statement);
    if (start.step > 0) console.log(`going on after ${start.step} steps`);
    console.log(`checkpoints go to ${config.out}`);
  }

  /** Shows what the run reports. */
  show(event: TrainEvent): void {
    if (event.type === "checkpoint") {
      this.#checkpoint = event.path;
      return;
    }
    if (event.type === "notice") return this.notice(event.message);
    this.#view = updateView(this.#view, event);
    if (this.#painter === undefined) this.#printPlain(event);
    else {this.#painter.paint((columns) =>
        renderFrame(this.#view, columns), event.type === "step" ? now() : Infinity);}
  }

  /** Prints a line that stays above the live frame. */
  notice(line: string): void {
    if (this.#painter === undefined) console.log(line);
    else this.#painter.print(line);
  }

  /** Says how the run ended, and how it goes on: `command` does. */
  close(result: TrainResult, command: (checkpoint: string) => string): void {
    this.restore();
    const checkpoint = this.#checkpoint;
    if (!result.isStopped) return console.log(`saved ${checkpoint}`);
    console.log(`stopped after ${result.step} steps, saved ${checkpoint}`);
    console.log(`go on with: ${command(checkpoint!)}`);
  }

  /** Gives the terminal back as it was. */
  restore(): void {
    this.#painter?.close();
  }

  /** Gives the terminal back at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.restore();
  }

  #printPlain(record: MetricsRecord): void {
    const line = plainLine(this.#view, record);
    if (line !== undefined) console.log(line);
  }
}
