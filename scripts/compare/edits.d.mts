export function hide(kind: string): (bytes: Buffer) => Buffer
export function rotate(bytes: Buffer): Buffer
export function turn(quarters: number): (bytes: Buffer) => Buffer
export function markFollowingSamples(bytes: Buffer): Buffer
export function addLayer(bytes: Buffer): Buffer
export function cutStart(share: number): (bytes: Buffer) => Buffer
export function setEveryBlockKey(bytes: Buffer): Buffer
