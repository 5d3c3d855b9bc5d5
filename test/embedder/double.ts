/** A test double of the addon without pixels. Tests can count what it holds and pause its jobs. */
import type {
  Binding,
  NativeClip,
  NativeClipOptions,
  NativeDecodedClip,
  NativeEngineOptions,
  NativeFailure,
  NativeGpu,
  NativeGpuInfo,
  NativeGpuProbe,
  NativeJob,
  NativeMediaSource,
  NativeOpenGpuOptions,
  NativeWindows,
} from '#binding'

const DIM = 16

export interface HeldJob {
  finish(): void
  fail(failure: Partial<NativeFailure>): void
  cancelled: boolean
  unrefed: boolean
}

/** A gate at which jobs of one kind pause while `held`. */
export class Gate {
  held = false
  /** Whether a cancelled job goes on, like a decoder within a picture. */
  deaf = false
  /** Started and not yet ended, oldest first. */
  readonly jobs: HeldJob[] = []

  /** Opens the gate for good. */
  open(): void {
    this.held = false
    for (const job of [...this.jobs]) job.finish()
  }
}

const notOfThisDouble = (): never => {
  throw new Error('not of this double')
}

export class BindingDouble implements Binding {
  readonly decoding = new Gate()
  readonly encoding = new Gate()
  readonly opening = new Gate()
  readonly creating = new Gate()
  readonly probing = new Gate()
  readonly openingGpu = new Gate()
  readonly clipOptions: NativeClipOptions[] = []
  readonly windows: NativeWindows[] = []
  /** The media of clips and segments that it was given. */
  readonly sources: (NativeMediaSource | { images: readonly unknown[] })[] = []
  readonly engineOptions: NativeEngineOptions[] = []
  readonly gpuOptions: NativeOpenGpuOptions[] = []
  readonly decoded: number[] = []
  /** `device` is the GPU's number, or `cpu`. */
  readonly batches: { kind: 'text' | 'video'; size: number; ids: number[]; device: 'cpu' | number }[] = []
  /** GPUs of this machine. Without any, there is no driver. */
  readonly gpus: NativeGpuInfo[] = []
  driver = '12.8'
  tensorrt = { version: '10.16.1.11', lean: false }
  nvdecEngines = 7
  maxVideoBatch = 0
  lanes = { video: 2, text: 2 }
  gpusOpen = 0
  /** Violations of the order in which resources must be closed. */
  readonly misuse: string[] = []
  clipsAlive = 0
  mostClipsAlive = 0
  readersOpen = 0
  enginesOpen = 0
  runningJobs = 0

  /** The first byte of the media identifies the clip; 255 is not a video. */
  decodeClip(
    source: NativeMediaSource | { images: readonly unknown[] },
    options: NativeClipOptions,
  ): NativeJob<NativeDecodedClip> {
    const id = 'bytes' in source ? (source.bytes[0] ?? 0) : 0
    this.clipOptions.push(options)
    this.sources.push(source)
    this.decoded.push(id)
    return this.#job(this.decoding, () => this.#clip(id, options, 0, 1))
  }

  /** The second byte is the number of windows; window 255 cannot be decoded. */
  openSegments(source: NativeMediaSource, options: NativeClipOptions, windows: NativeWindows) {
    const [first = 0, count = 0] = 'bytes' in source ? source.bytes : []
    this.sources.push(source)
    this.clipOptions.push(options)
    this.windows.push(windows)
    const { seconds, stride } = 'seconds' in windows ? windows : { seconds: 1, stride: 1 }
    return this.#job(this.opening, () => {
      this.readersOpen++
      let open = true
      let window = 0
      return {
        next: () => {
          if (!open) throw failure({ code: 'invalid_argument', message: 'the reader is closed' })
          const index = window++
          return this.#job(this.decoding, () => {
            const start = index * stride
            return index < count ? this.#clip(first + index, options, start, start + seconds) : null
          })
        },
        close: () => {
          if (open) this.readersOpen--
          open = false
        },
      }
    })
  }

  createEngine(options: NativeEngineOptions) {
    this.engineOptions.push(options)
    const gpu = options.backend === 'tensorrt' ? (options.gpu as GpuDouble) : undefined
    const device = gpu?.info.device ?? 'cpu'
    return this.#job(this.creating, () => {
      this.enginesOpen++
      if (gpu) gpu.engines++
      const { frames, height, width, library } = options
      let open = true
      return {
        info: {
          backend: options.backend,
          version: gpu ? this.tensorrt.version : '0.0.0-double',
          library,
          frames,
          height,
          width,
          ...{ embeddingDim: DIM, textLengthStep: gpu ? 8 : 1 },
          maxVideoBatch: gpu ? this.maxVideoBatch : 0,
          maxTextBatch: 0,
          videoLanes: gpu ? this.lanes.video : 1,
          textLanes: gpu ? this.lanes.text : 1,
          videoForm: 'canonical' as const,
          videoInput: '',
          textInput: '',
        },
        encodeVideo: (clips: readonly NativeClip[]) => {
          for (const clip of clips) {
            clip.toBytes()
            if (clip.device !== device) throw failure({ code: 'invalid_argument', message: 'wrong device' })
          }
          const ids = clips.map((clip) => (clip as ClipDouble).id)
          return this.#encode('video', ids, device)
        },
        encodeText: (rows: readonly Int32Array[]) =>
          this.#encode(
            'text',
            rows.map((row) => row.length),
            device,
          ),
        close: async () => {
          if (!open) return
          open = false
          this.enginesOpen--
          if (gpu) gpu.engines--
        },
      }
    })
  }

  probeOnnxRuntime() {
    return { version: '0.0.0-double', buildInfo: '' }
  }

  probeTensorRt() {
    return this.#job(this.probing, () => this.tensorrt)
  }

  probeGpu() {
    return this.#job(this.probing, () => this.probe())
  }

  probe(): NativeGpuProbe {
    if (this.gpus.length === 0) {
      throw failure({
        code: 'library',
        message: 'the NVIDIA driver (libcuda.so.1) was not found:\n  no such file',
        details: { library: 'libcuda.so.1' },
      })
    }
    return { driver: { version: this.driver, library: 'libcuda.so.1' }, devices: this.gpus }
  }

  openGpu(options: NativeOpenGpuOptions): NativeJob<NativeGpu> {
    this.gpuOptions.push(options)
    return this.#job(this.openingGpu, () => {
      const info = this.gpus.find(({ device }) => device === options.device)
      if (!info) throw failure({ code: 'invalid_argument', message: 'no such GPU' })
      this.gpusOpen++
      const engines = options.nvdec === 'never' ? 0 : this.nvdecEngines
      return new GpuDouble(this, info, engines, options.nvdecWorkers || 2 * engines)
    })
  }

  readonly resizeRgb = notOfThisDouble
  readonly openDecoderPool = notOfThisDouble
  readonly nearest = notOfThisDouble

  diagnostics() {
    return {
      ...{ version: '0.0.0-double', napi: 9, compiler: '', simd: 'none' },
      ffmpeg: { avcodec: '', avformat: '', license: '', configuration: '', demuxers: [], decoders: [] },
    }
  }

  #encode(kind: 'text' | 'video', ids: number[], device: 'cpu' | number): NativeJob<Float32Array> {
    this.batches.push({ kind, size: ids.length, ids, device })
    return this.#job(this.encoding, () => {
      const vectors = new Float32Array(ids.length * DIM)
      for (const [row, id] of ids.entries()) vectors.set(vectorOf(id), row * DIM)
      return vectors
    })
  }

  #clip(id: number, options: NativeClipOptions, start: number, end: number): NativeDecodedClip {
    if (id === 255) throw failure({ code: 'media', message: 'no video stream' })
    this.clipsAlive++
    this.mostClipsAlive = Math.max(this.mostClipsAlive, this.clipsAlive)
    const gpu = options.gpu as GpuDouble | undefined
    const clip = new ClipDouble(id, options, () => this.clipsAlive--)
    if (gpu) gpu.clips++
    const frames = Array.from({ length: options.frames }, (_, index) => ({
      index,
      pts: index,
      keyframe: true,
    }))
    const report = {
      container: 'double',
      codec: 'double',
      pixelFormat: 'rgb24',
      decoder: gpu ? ('nvdec' as const) : ('software' as const),
      decoderReason: '',
      width: 16,
      height: 16,
      rotation: 0,
      duration: 1,
      frameCount: 8,
      decoded: 8,
      discarded: 0,
      seeks: 0,
      bytesRead: 1,
      damaged: 0,
      openMs: 1,
      waitMs: gpu ? 100 : 0,
      decodeMs: 2,
      convertMs: 3,
      warnings: id === 254 ? ['the file is damaged'] : [],
    }
    return { clip, start, end, frames, report }
  }

  #job<T>(gate: Gate, make: () => T): NativeJob<T> {
    this.runningJobs++
    const { promise, resolve, reject } = deferred<T>()
    const end = () => {
      this.runningJobs--
      gate.jobs.splice(gate.jobs.indexOf(job), 1)
    }
    let ended = false
    const once = (how: () => void) => {
      if (ended) return
      ended = true
      end()
      how()
    }
    const job: HeldJob = {
      cancelled: false,
      unrefed: false,
      finish: () =>
        once(() => {
          try {
            resolve(make())
          } catch (error) {
            reject(error)
          }
        }),
      fail: (what) => once(() => reject(failure(what))),
    }
    gate.jobs.push(job)
    if (!gate.held) setImmediate(() => gate.held || job.finish())
    return {
      promise,
      cancel: () => {
        job.cancelled = true
        // Asynchronously, like the addon.
        if (!gate.deaf) setImmediate(() => job.fail({ code: 'cancelled', message: 'cancelled' }))
      },
      unref: () => {
        job.unrefed = true
      },
    }
  }
}

class GpuDouble implements NativeGpu {
  readonly info: NativeGpu['info']
  clips = 0
  engines = 0
  readonly #double: BindingDouble
  #open = true

  constructor(double: BindingDouble, info: NativeGpuInfo, nvdecEngines: number, nvdecWorkers: number) {
    this.#double = double
    this.info = {
      ...info,
      driver: double.driver,
      freeBytes: info.memoryBytes,
      nvdecReason: nvdecEngines === 0 ? 'not asked for' : '',
      nvdecEngines,
      nvdecWorkers: nvdecEngines === 0 ? 0 : nvdecWorkers,
      nvdec: [
        {
          codec: 'h264',
          chroma: '420',
          bitDepth: 8,
          supported: true,
          maxWidth: 4096,
          maxHeight: 4096,
          engines: 7,
        },
      ],
    }
  }

  stats() {
    if (!this.#open) throw failure({ code: 'invalid_argument', message: 'the GPU is closed' })
    return {
      nvdec: this.clips,
      software: 0,
      nvdecRunning: 0,
      nvdecWaiting: 0,
      decodersCreated: 0,
      decodersReused: 0,
      decodersReconfigured: 0,
      lost: false,
    }
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#double.gpusOpen--
    if (this.engines > 0) this.#double.misuse.push(`GPU ${this.info.device} closed before its engine`)
  }
}

class ClipDouble implements NativeClip {
  readonly id: number
  readonly device: 'cpu' | number
  readonly frames: number
  readonly height: number
  readonly width: number
  readonly byteLength = 1
  readonly #free: () => void
  #released = false

  constructor(id: number, { frames, height, width, gpu }: NativeClipOptions, free: () => void) {
    this.id = id
    this.device = gpu?.info.device ?? 'cpu'
    this.frames = frames
    this.height = height
    this.width = width
    this.#free = free
  }

  toBytes(): Uint8Array {
    if (this.#released) throw failure({ code: 'invalid_argument', message: 'the clip is released' })
    return new Uint8Array(1)
  }

  release(): void {
    if (!this.#released) this.#free()
    this.#released = true
  }
}

/** The double's vector for a clip with this first byte, or a text with this many tokens: its bits, at unit length. */
export function vectorOf(id: number): Float32Array {
  return Float32Array.from({ length: DIM }, (_, bit) => ((id >> bit) & 1 ? -1 : 1) / Math.sqrt(DIM))
}

function failure(what: Partial<NativeFailure>): Error {
  return Object.assign(new Error(what.message ?? 'failed'), { code: 'engine', details: {}, ...what })
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (reason: unknown) => void = () => {}
  const promise = new Promise<T>((...both) => {
    ;[resolve, reject] = both
  })
  return { promise, resolve, reject }
}
