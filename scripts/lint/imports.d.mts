export interface Import {
  target: string
  line: number
  dynamic: boolean
}
export type Graph = Map<string, Import[]>
export type Layers = string[][]
export function typescriptGraph(root: string, files: string[]): Graph
export function cppGraph(root: string, files: string[]): Graph
export function layerProblems(graph: Graph, layers: Layers): string[]
export function circles(graph: Graph): string[]
export function portableProblems(graph: Graph, rule: { folders: string[]; without: RegExp }): string[]
export function headerProblems(graph: Graph, headers: { header: RegExp; within: string[] }[]): string[]
