/** What {@link findAdapter} has found. */
export interface AdapterFinding {
  /** Whether a GPU, or software that acts as one, can be used. */
  readonly isAvailable: boolean;
  /** Whether it is software on the cores of this machine: right, and slower than wasm. */
  readonly isSoftware?: boolean;
  /** Its name, or why there is none and what to do. */
  readonly reason: string;
}

/** Looks for a WebGPU adapter; opens none. */
export async function findAdapter(): Promise<AdapterFinding> {
  const { gpu } = navigator;
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (adapter === null || adapter === undefined) {
    const advice = "install a Vulkan driver (Debian: libvulkan1, mesa-vulkan-drivers), or use --kernels wasm";
    return { isAvailable: false, reason: `no WebGPU adapter: ${advice}` };
  }
  const { description, vendor, isFallbackAdapter: isSoftware } = adapter.info;
  return { isAvailable: true, isSoftware, reason: description || `vendor ${vendor}` };
}
