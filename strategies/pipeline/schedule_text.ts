/**
 * The text form of a pipeline schedule: a file that people write, compare and mail.
 *
 * ```text
 * # 1F1B by hand
 * schedule mine p=2 m=2 v=1
 * 0: 0F0 0F1 0B0 0B1
 * 1: 1F0 1B0 1F1 1B1
 * ```
 *
 * Grammar, line by line; `#` starts a comment, empty lines are skipped:
 *
 * ```text
 * file         =  [ header ]  device ...
 * header       =  "schedule"  [ NAME ]  { "p=" NUMBER | "m=" NUMBER | "v=" NUMBER }
 * device       =  [ NUMBER ":" ]  instruction ...         separated by blanks or commas
 * instruction  =  STAGE  ( "F" | "B" | "I" | "W" )  MICROBATCH
 * ```
 *
 * What the header leaves out is taken from the instructions. Devices count from 0 in the order of lines; the number
 * in front is for the reader, and checked. The CSV files of PyTorch's pipelining (computations only, stages dealt
 * out in turns) read as they are; an empty cell there is a bubble, which here follows from the order.
 */
import type { Instruction, PassKind, Schedule } from "./schedule.ts";

/** Writes an instruction: `2F0` is the forward pass of micro-batch 0 through stage 2. */
export function formatInstruction({ kind, stage, microBatch }: Instruction): string {
  return `${stage}${kind}${microBatch}`;
}

/**
 * Writes a schedule as text that {@link parseSchedule} reads back: a header and one line per device. Characters of the
 * name that the grammar gives a meaning (blanks, commas, `=` and `#`) become `-`.
 */
export function formatSchedule(schedule: Schedule): string {
  const { name, p, m, v, devices } = schedule;
  const width = String(p - 1).length;
  const safeName = name.replace(/[\s,=#]+/g, "-");
  const lines = devices.map((list, device) =>
    `${String(device).padStart(width)}: ${list.map(formatInstruction).join(" ")}`.trimEnd()
  );
  return [`schedule ${safeName} p=${p} m=${m} v=${v}`, ...lines].join("\n") + "\n";
}

/** What a header line says. */
interface Header {
  readonly name: string | undefined;
  readonly sizes: Readonly<Partial<Record<"p" | "m" | "v", number>>>;
}

/**
 * Reads the text form of a schedule. Whether it can run is for `checkSchedule` to say.
 *
 * @param text Contents of a file in the grammar above.
 * @param name Used when the header does not name the schedule.
 * @throws {SyntaxError} If the text is not in the grammar: names the line, the device and the token.
 */
export function parseSchedule(text: string, name = "file"): Schedule {
  const devices: Instruction[][] = [];
  let header: Header | undefined;
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    if (/^schedule\b/.test(line)) {
      if (header !== undefined || devices.length > 0) fail(i, "schedule", "one header, before the devices");
      header = parseHeader(line, i);
    } else devices.push(parseDevice(line, i, devices.length));
  }
  if (devices.length === 0) {
    throw new SyntaxError(
      "Cannot read a schedule without devices: write one line per device, as in 0: 0F0 0B0",
    );
  }
  return completeSchedule(devices, header, name);
}

function parseHeader(line: string, index: number): Header {
  const sizes: Partial<Record<"p" | "m" | "v", number>> = {};
  let name: string | undefined;
  for (const [i, token] of line.split(/[\s,]+/).slice(1).entries()) {
    const size = /^([pmv])=([1-9]\d*)$/.exec(token);
    if (size !== null) sizes[size[1] as "p" | "m" | "v"] = Number(size[2]);
    else if (i === 0 && !token.includes("=")) name = token;
    else fail(index, token, "a header is: schedule NAME p=2 m=4 v=1");
  }
  return { name, sizes };
}

function parseDevice(line: string, index: number, device: number): Instruction[] {
  const label = /^([^\s:,]*)\s*:\s*/.exec(line);
  if (label !== null && label[1] !== String(device)) {
    fail(index, `${label[1]}:`, `this is the line of device ${device}`);
  }
  const tokens = line.slice(label?.[0].length ?? 0).split(/[\s,]+/).filter((token) => token !== "");
  return tokens.map((token) => {
    const match = /^(\d+)([FBIW])(\d+)$/.exec(token);
    if (match === null) {
      const isTransfer = /SEND|RECV/.test(token);
      const allowed = isTransfer
        ? "sends and receives follow from the passes, leave them out"
        : "an instruction is STAGE, one of F B I W, MICROBATCH, as in 2F0";
      fail(index, token, allowed, device);
    }
    return { stage: Number(match[1]), kind: match[2] as PassKind, microBatch: Number(match[3]) };
  });
}

function completeSchedule(devices: Instruction[][], header: Header | undefined, name: string): Schedule {
  const all = devices.flat();
  const p = header?.sizes.p ?? devices.length;
  if (p !== devices.length) {
    throw new SyntaxError(
      `Cannot read a schedule with p=${p} and ${devices.length} lines: write one per device`,
    );
  }
  const numStages = all.reduce((count, { stage }) => Math.max(count, stage + 1), 1);
  const numMicroBatches = all.reduce((count, { microBatch }) => Math.max(count, microBatch + 1), 1);
  const m = header?.sizes.m ?? numMicroBatches;
  const v = header?.sizes.v ?? Math.ceil(numStages / p);
  return { name: header?.name ?? name, p, m, v, devices };
}

function fail(index: number, token: string, allowed: string, device?: number): never {
  const place = device === undefined ? `line ${index + 1}` : `line ${index + 1} (device ${device})`;
  throw new SyntaxError(`Cannot read "${token}" in ${place} of a schedule: ${allowed}`);
}
