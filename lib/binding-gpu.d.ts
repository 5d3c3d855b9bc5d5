/** The GPUs of the native boundary, see binding.d.ts. */

/** Absolute paths of NVIDIA's libraries. Default: those that the system's loader finds by name. */
export interface NativeGpuLibraries {
  /** libcuda.so.1 */
  cuda?: string
  /** libnvcuvid.so.1 */
  nvcuvid?: string
}

/** Whether a GPU's NVDEC decodes one kind of video. */
export interface NativeNvdecCapability {
  /** FFmpeg's short name, e.g. "h264". */
  codec: string
  /** Chroma format: "420" or "444". */
  chroma: string
  bitDepth: number
  supported: boolean
  maxWidth: number
  maxHeight: number
  /** How many NVDEC engines decode it. */
  engines: number
}

export interface NativeGpuInfo {
  /** Ordinal among the devices that CUDA_VISIBLE_DEVICES exposes to this process. */
  device: number
  name: string
  /** "GPU-…", or "MIG-…" for an instance of a divided GPU. */
  uuid: string
  /** e.g. "9.0" */
  computeCapability: string
  memoryBytes: number
}

export interface NativeGpuProbe {
  driver: {
    /** The newest CUDA version that the driver supports, e.g. "12.4". */
    version: string
    library: string
  }
  devices: NativeGpuInfo[]
}

export interface NativeOpenGpuOptions {
  device: number
  libraries?: NativeGpuLibraries
  /** `never`: decode on the CPU only. Default `auto`. */
  nvdec?: 'auto' | 'never'
  /** How many clips NVDEC decodes at a time. Default 0: two for each of its engines. */
  nvdecWorkers?: number
  /** How many clips the CPU may take over at a time while NVDEC is busy. Default 0: none that NVDEC can decode. */
  cpuWorkers?: number
}

export interface NativeGpuStats {
  /** Clips by the decoder that decoded them. */
  nvdec: number
  software: number
  /** Clips that NVDEC is decoding, and clips that wait for it. */
  nvdecRunning: number
  nvdecWaiting: number
  /** NVDEC decoders that were created, reused from the pool without change, and reconfigured. */
  decodersCreated: number
  decodersReused: number
  decodersReconfigured: number
  /** A sticky error occurred: the GPU cannot be used by this process any more. */
  lost: boolean
}

/** One GPU: its context, the preprocessing kernels, and NVDEC if it has one. */
export interface NativeGpu {
  readonly info: NativeGpuInfo & {
    driver: string
    freeBytes: number
    /** Why NVDEC is not used, or "". */
    nvdecReason: string
    /** Number of NVDEC engines; 0 when NVDEC is not used. */
    nvdecEngines: number
    /** How many clips NVDEC decodes at a time; 0 when it is not used. */
    nvdecWorkers: number
    nvdec: NativeNvdecCapability[]
  }
  stats(): NativeGpuStats
  /** Frees decoders and memory once no job or engine uses them. Idempotent. */
  close(): void
}
