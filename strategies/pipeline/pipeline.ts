import type { Group, Pending } from "../../collectives/mod.ts";
import type { Span } from "../../kernels/mod.ts";
import { deviceOfStage, type Instruction, type Schedule } from "./schedule.ts";
import { checkSchedule } from "./schedule_check.ts";
import { receiveOf, sendOf } from "./schedule_channels.ts";

/**
 * Runs the passes of a micro-batch; a `Tape` in the device's memory. One that computes elsewhere, on a GPU, returns
 * promises: a pass has ended when what is handed over lies in the device's memory.
 */
export interface StageProgram {
  /** Computes the activations. */
  forward(): void | Promise<void>;
  /** Computes all gradients. */
  backward(): void | Promise<void>;
  /** The part of the backward pass that other devices wait for. */
  backwardInput(): void | Promise<void>;
  /** The rest of it. */
  backwardWeight(): void | Promise<void>;
}

/** The recorded pass of one micro-batch through one stage. */
export interface StagePass {
  /** The stage's ops. */
  readonly tape: StageProgram;
  /** Activations from the stage before; undefined on the first stage. */
  readonly received?: { readonly values: Span; readonly gradient: Span };
  /** Activations for the stage after; undefined on the last stage. `gradient` is filled before the backward pass. */
  readonly sent?: { readonly values: Span; readonly gradient: Span };
}

/** What a pipeline asks of whoever owns the model and the data. */
export interface StageRunner {
  /**
   * The recording to use for an instruction, filled with its samples where the stage needs them; undefined if this
   * pipeline has no samples in it.
   *
   * @param slot Which of the stage's recordings; a slot is free again when its backward pass is done.
   */
  prepare(instruction: Instruction, slot: number): StagePass | undefined;
  /** Called after the forward pass of a micro-batch. */
  onForward(pass: StagePass): void;
  /** Called before each instruction is waited for. */
  enter(instruction: Instruction): void;
}

/** A message to a neighbour that may still be read. */
interface Handoff {
  forward?: Pending;
  backward?: Pending;
}

/**
 * One device's part of a pipeline: runs its instructions in order. Hand-offs are announced, not copied: the neighbour
 * pulls them when it needs them.
 *
 * Source: Huang et al., GPipe, NeurIPS 2019; Narayanan et al., Megatron-LM, SC 2021; Qi et al., Zero Bubble Pipeline
 * Parallelism, ICLR 2024. The lists themselves are made by `schedule.ts`.
 */
export class Pipeline {
  /** The list of instructions per device. */
  readonly schedule: Schedule;
  /** Recordings that each stage needs, by stage: micro-batches in flight there. */
  readonly slotsOfStage: readonly number[];
  readonly #group: Group;
  readonly #handoffs = new Map<string, Handoff>();

  /**
   * Takes this rank's part of a schedule; the group's ranks are the devices in order.
   *
   * @throws {RangeError} If the schedule is not valid, or not for as many devices as the group has.
   */
  constructor(group: Group, schedule: Schedule) {
    const report = checkSchedule(schedule);
    if (report.problems.length > 0) {
      throw new RangeError(`Cannot run schedule ${schedule.name}: ${report.problems[0].message}`);
    }
    if (schedule.p === 1 && schedule.v > 1) {
      throw new RangeError(
        `Cannot run schedule ${schedule.name} on one device: virtual stages need at least two`,
      );
    }
    if (schedule.p !== group.size) {
      throw new RangeError(`Cannot run a schedule for ${schedule.p} devices on a pipeline of ${group.size}`);
    }
    this.schedule = schedule;
    this.slotsOfStage = report.inFlightOfStage;
    this.#group = group;
  }

  /** Stages of this device, in order. */
  get stages(): number[] {
    const { p, v } = this.schedule;
    return Array.from({ length: p * v }, (_, stage) => stage).filter((stage) =>
      deviceOfStage(this.schedule, stage) === this.#group.index
    );
  }

  /** Runs a training step's forward and backward passes. */
  async run(runner: StageRunner): Promise<void> {
    for (const instruction of this.schedule.devices[this.#group.index]) {
      const settled = this.#execute(instruction, runner);
      if (settled !== undefined) await settled;
    }
    this.settle();
  }

  /** Runs one micro-batch forward through all stages, for evaluation. */
  async runForward(runner: StageRunner, microBatch: number): Promise<void> {
    for (const stage of this.stages) {
      const settled = this.#execute({ kind: "F", stage, microBatch }, runner);
      if (settled !== undefined) await settled;
    }
    this.settle();
  }

  /** Returns when the neighbours have read everything. */
  settle(): void {
    for (const { forward, backward } of this.#handoffs.values()) {
      forward?.wait();
      backward?.wait();
    }
    this.#handoffs.clear();
  }

  /**
   * A promise only if the stage computes elsewhere: the thread must be free while that happens, and a collective may park
   * it, so this is where such work settles before the next one.
   */
  #execute(instruction: Instruction, runner: StageRunner): void | Promise<void> {
    const { kind, stage, microBatch } = instruction, slot = microBatch % this.slotsOfStage[stage];
    const pass = runner.prepare(instruction, slot);
    if (pass === undefined) return;
    runner.enter(instruction);
    const key = `${stage}/${slot}`, handoff = this.#handoffs.get(key) ?? {};
    this.#handoffs.set(key, handoff);
    const label = `${kind === "F" ? "activations" : "gradients"} of micro-batch ${microBatch}`;
    const receive = receiveOf(this.schedule, instruction),
      target = kind === "F" ? pass.received?.values : pass.sent?.gradient;
    if (receive !== undefined && target !== undefined) this.#group.recv(target, receive.from, { label });
    const finish = () => {
      if (kind === "F") runner.onForward(pass);
      const send = sendOf(this.schedule, instruction),
        source = kind === "F" ? pass.sent?.values : pass.received?.gradient;
      if (send === undefined || source === undefined) return;
      const pending = this.#group.startSend(source, send.to, { label });
      if (kind === "F") handoff.forward = pending;
      else handoff.backward = pending;
    };
    return this.#compute(kind, pass, handoff)?.then(finish) ?? finish();
  }

  #compute(kind: Instruction["kind"], { tape }: StagePass, handoff: Handoff): Promise<void> | undefined {
    switch (kind) {
      case "F":
        // The slot's last activations must have been read before they are computed again.
        handoff.forward?.wait();
        return tape.forward() ?? undefined;
      case "B":
        handoff.backward?.wait();
        return tape.backward() ?? undefined;
      case "I":
        handoff.backward?.wait();
        return tape.backwardInput() ?? undefined;
      case "W":
        return tape.backwardWeight() ?? undefined;
    }
  }
}
