import { UsageError } from "../../files/mod.ts";

/** Longest value that messages show. */
const MAX_SHOWN = 60;

/** What fields that change the arithmetic may be, the plain value first; absent means that one. */
export type FixedFields = Readonly<Record<string, readonly unknown[]>>;

/** The fields of a parsed `config.json`, read by name with what they are when absent. */
export class ConfigFields {
  readonly #json: Readonly<Record<string, unknown>>;
  readonly #path: string;

  /**
   * Reads no field yet.
   *
   * @param path For messages.
   * @throws {UsageError} If it is no JSON object.
   */
  constructor(json: unknown, path: string) {
    this.#path = path;
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      this.fail("it is not a JSON object");
    }
    this.#json = json as Readonly<Record<string, unknown>>;
  }

  /** The value of a field; null is absent. */
  raw(key: string): unknown {
    return this.#json[key] ?? undefined;
  }

  /** A whole number above 0; without `preset` it must be there. */
  count(key: string, preset?: number): number {
    const value = this.raw(key) ?? preset;
    if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
    return this.#refuse(key, value, "it must be a whole number above 0");
  }

  /** A number above 0. */
  positive(key: string, preset?: number): number {
    const value = this.raw(key) ?? preset;
    if (typeof value === "number" && value > 0 && value < Infinity) return value;
    return this.#refuse(key, value, "it must be a number above 0");
  }

  /** A number that is not negative. */
  amount(key: string, preset: number): number {
    const value = this.raw(key) ?? preset;
    if (typeof value === "number" && value >= 0 && value < Infinity) return value;
    return this.#refuse(key, value, "it must be a number from 0");
  }

  /** True or false. */
  flag(key: string, preset: boolean): boolean {
    const value = this.raw(key) ?? preset;
    return typeof value === "boolean" ? value : this.#refuse(key, value, "it must be true or false");
  }

  /** A list of whole numbers from 0. */
  indices(key: string): number[] {
    const value = this.raw(key) ?? [];
    if (Array.isArray(value) && value.every((i) => Number.isInteger(i) && i >= 0)) return value as number[];
    return this.#refuse(key, value, "it must be a list of layers, counted from 0");
  }

  /** The fields of an object; undefined if it is absent. */
  section(key: string): ConfigFields | undefined {
    const value = this.raw(key);
    return value === undefined ? undefined : new ConfigFields(value, `${this.#path} (${key})`);
  }

  /**
   * Refuses arithmetic that is not computed here.
   *
   * @throws {UsageError} Names the field, its value and what is supported.
   */
  check(fixed: FixedFields): void {
    for (const [key, allowed] of Object.entries(fixed)) {
      const value = this.raw(key);
      if (value === undefined || allowed.includes(value)) continue;
      const names = allowed.map((x) => JSON.stringify(x));
      this.#refuse(
        key,
        value,
        names.length === 0
          ? "which is not supported; use a model without it"
          : `supported ${names.length === 1 ? "is" : "are"} ${names.join(", ")}`,
      );
    }
  }

  /** Runs a check of sizes whose errors name none of the fields. */
  checked<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return this.fail(error.message.charAt(0).toLowerCase() + error.message.slice(1));
    }
  }

  /** @throws {UsageError} Says what is wrong with the file. */
  fail(problem: string): never {
    throw new UsageError(`Cannot use ${this.#path}: ${problem}`);
  }

  #refuse(key: string, value: unknown, why: string): never {
    const text = JSON.stringify(value) ?? "missing";
    return this.fail(
      `${key} is ${text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text}, ${why}`,
    );
  }
}
