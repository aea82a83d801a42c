import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ControlBlock, ControlLayout, RankStatus, type Words } from "../../collectives/mod.ts";
import { STATUS } from "../../collectives/control/control_block.ts";
import { readPlace } from "../../collectives/control/status.ts";
import { explore, type Scenario } from "./explorer.ts";
import { WrappedWords } from "./plants.ts";

/** A step ends in "exchange" and "evaluation" counts as the next one, as in a training run. */
const PLACES: [step: number, phase: string][] = [
  [1, "exchange"],
  [2, "evaluation"],
  [2, "exchange"],
  [3, "evaluation"],
];

/** One rank goes from place to place; another reads where it is, twice. */
function scenario(wrapWords: (words: Words, line: number) => Words = (words) => words): Scenario {
  const layout = new ControlLayout({ worldSize: 1, groups: [{ name: "all", ranks: [0] }] });
  const line = layout.status(0), placeWords = [STATUS.STEP, STATUS.PHASE, STATUS.LABEL_COUNT];
  const walk = (words: Words) => {
    const status = new RankStatus(new ControlBlock(wrapWords(words, line), layout), 0);
    for (const [step, phase] of PLACES) status.setPlace(step, phase);
  };
  const look = (words: Words) => {
    const control = new ControlBlock(words, layout);
    for (let i = 0; i < 2; i++) {
      const { step, phase } = readPlace(control, 0);
      const isTrue = phase === "" || PLACES.some((place) => place[0] === step && place[1] === phase);
      if (!isTrue) throw new Error(`it never was in step ${step}, ${phase}`);
    }
  };
  const names = ["STATE", "STEP", "PHASE"];
  return {
    agents: [walk, look],
    isQuiet: (word) => !placeWords.some((place) => word === line + place),
    nameOf: (word) => names[word - line] ?? `word ${word - line}`,
  };
}

Deno.test("RankStatus setPlace() and readPlace() never show a step with the phase of another, in all interleavings", () => {
  const { failure, schedule, states } = explore(scenario());
  assertEquals(failure, undefined, schedule);
  assert(states > 500, `${states} states`);
});

/** What stood there before: a step was published, then its phase. A hang was thought to be in a phase it was not in. */
class StepWithOldPhase extends WrappedWords {
  constructor(inner: Words, readonly line: number) {
    super(inner);
  }
  override store(index: number, value: number): void {
    if (index !== this.line + STATUS.PHASE || value !== 0) super.store(index, value);
  }
}

Deno.test("the explorer finds a step that is shown with the phase before it", () => {
  const { failure } = explore(scenario((words, line) => new StepWithOldPhase(words, line)));
  assertStringIncludes(failure!, "it never was in step ");
});
