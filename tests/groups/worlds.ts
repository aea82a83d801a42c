import { register } from "./groups.ts";

await register("worlds");
