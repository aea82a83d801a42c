/** The GPU, or what drives it, failed; the message is one line. */
export class GpuError extends Error {
  /** Tells it from other errors, also when it comes from a worker. */
  override name = "GpuError";
}
