import { statfsSync } from "node:fs";

/** Bytes that are free where `folder` is; undefined if that may not be asked (`--allow-sys=statfs`) or is unknown. */
export function freeBytes(folder: string): number | undefined {
  try {
    // Asked for first, so that nobody gets a prompt. The types of Deno 2.9 do not list this kind.
    const { state } = Deno.permissions.querySync({ name: "sys", kind: "statfs" as "statfs" & "hostname" });
    if (state !== "granted") return undefined;
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
