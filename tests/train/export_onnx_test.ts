import { assert, assertEquals, assertRejects } from "@std/assert";
import { exportOnnx, UsageError } from "../../train/mod.ts";
import { computeHere, continueCached, continueWhole, lastRow, openExported } from "../support/exported_model.ts";
import { withTempDir } from "../support/temp_dir.ts";

const FOLDER = new URL("../golden/gpt2-tiny/final", import.meta.url).pathname;
const INIT = new URL("../golden/gpt2-tiny/init", import.meta.url).pathname;
