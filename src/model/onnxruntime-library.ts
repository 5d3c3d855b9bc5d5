/** Where `libonnxruntime.so.1` is. */

export interface OnnxRuntimeLibrary {
  /** Absolute. */
  path: string
  /** Which place it was found in, for `info()` and `doctor`. */
  origin: 'option' | 'environment' | 'addon' | 'onnxruntime-node' | 'system'
}

/** Throws LibraryError that lists every place looked at. An explicit path or COSMOS_EMBED_ONNXRUNTIME is never fallen back from. */
export declare function findOnnxRuntime(options?: { path?: string | undefined }): OnnxRuntimeLibrary
