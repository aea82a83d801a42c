/**
 * Text from a trained model.
 *
 * @module
 */
import { launch } from "../actors/mod.ts";
import { UsageError } from "../files/mod.ts";
import { formatBytes } from "../kernels/mod.ts";
import { Mesh } from "../strategies/mod.ts";
import { loadGpt } from "./checkpoint.ts";
import { EventQueue } from "./event_queue.ts";
import { type GenerateJob, planGenerate } from "./generate_program.ts";
import type { SampleOptions } from "./job.ts";
import { resolveSample } from "./sample_options.ts";

/** How to generate from a directory. */
export interface GenerateOptions extends Partial<Omit<SampleOptions, "prompt">> {
  /** Text to go on from; its bytes are the tokens. */
  readonly prompt: string;
  /** Backend of the device; by default "wasm". */
  readonly kernels?: "wasm" | "reference";
  /** Cap of the memory of the device; by default as much as the model needs. */
  readonly deviceMemoryBytes?: number;
}

/** What a 32-bit address reaches, less a page. */
const MAX_DEVICE_BYTES = 2 ** 32 - 2 ** 16;
/** A model with a vocabulary below this one reads and writes bytes. */
const BYTE_VOCAB = 256;

/** Decodes bytes of UTF-8 as they come; tokens above 255 are shown as U+FFFD. */
export class ByteText {
  readonly #decoder = new TextDecoder();

  /** Text that is complete with this token. */
  next(token: number): string {
    if (token >= BYTE_VOCAB) return this.#decoder.decode() + "\ufffd";
    return this.#decoder.decode(Uint8Array.of(token), { stream: true });
  }

  /** What is left at the end. */
  end(): string {
    return this.#decoder.decode();
  }
}

/** The bytes of a text, as tokens. */
export function encodeBytes(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

/**
 * Goes on writing a prompt with the model of a checkpoint or a Hugging Face GPT-2 directory, token by token.
 *
 * A mixture of experts never drops a token here: every token is a unit of its own, and each of its experts has room.
 *
 * @throws {UsageError} If the directory, the prompt or an option cannot be used.
 */
export async function* generate(folder: string, options: GenerateOptions): AsyncGenerator<number> {
  const { kernels = "wasm" } = options, choice = resolveSample(options);
  const { sizes, weights } = await loadGpt(folder), prompt = encodeBytes(options.prompt);
  checkPrompt(prompt, sizes.vocab);
  const job: GenerateJob = {
    model: sizes,
    weights,
    kernels,
    sample: { prompt, ...choice },
  };
  const tokens = new EventQueue<number>();
  const world = launch({
    program: new URL("./generate_program.ts", import.meta.url).href,
    config: job,
    topology: new Mesh({}).topology(),
    deviceMemoryBytes: options.deviceMemoryBytes ?? sizeDevice(folder, job),
    onReport: (_rank, token) => tokens.push(token as number),
  });
  world.done.then(() => tokens.end(), (error) => tokens.fail(error));
  try {
    yield* tokens;
  } finally {
    world.terminate(0);
    await world.done.catch(() => {});
  }
}

/** Device memory for a model. */
function sizeDevice(folder: string, job: GenerateJob): number {
  const bytes = planGenerate(job);
  if (bytes <= MAX_DEVICE_BYTES) return bytes;
  throw new UsageError(
    `Cannot generate with ${folder}: its weights and cache need ${
      formatBytes(bytes)
    }, a device has at most ` +
      `${formatBytes(MAX_DEVICE_BYTES)}; use a smaller model`,
  );
}

function checkPrompt(prompt: readonly number[], vocab: number): void {
  if (prompt.length === 0) {
    throw new UsageError("Cannot generate from an empty --prompt: give at least one character");
  }
  const position = prompt.findIndex((token) => token >= vocab);
  if (position >= 0) {
    throw new UsageError(
      `Cannot use this --prompt: byte ${prompt[position]} at position ${position} is outside ` +
        `the model's vocabulary of ${vocab}`,
    );
  }
}
