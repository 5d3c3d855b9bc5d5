// Compares the tables of native/tensorrt/abi.h with NVIDIA's headers, and runs the native TensorRT tests against a double
// whose tables the compiler laid out from those headers. The headers are read in place; nothing is linked.
//
//   TENSORRT_ROOT=/path node scripts/check-tensorrt-abi.mjs [/more/paths …]   folders with, or with include/, NvInferRuntime.h
//   … --tables        only the tables, which takes seconds
//   … --self-test     uses the double's own declarations and checks that a wrong table is found; needs no headers

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = path.join(root, '.cache', 'tensorrt-abi')
const native = path.join(root, 'native')
const ownHeaders = path.join(root, 'test', 'fakes', 'nvinfer', 'include')
const args = process.argv.slice(2)
const flags = new Set(args.filter((arg) => arg.startsWith('--')))
const folders = [process.env.TENSORRT_ROOT ?? '', ...args.filter((arg) => !arg.startsWith('--'))].filter(
  Boolean,
)

mkdirSync(cache, { recursive: true })
// The only types that TensorRT's headers need from a CUDA toolkit.
writeFileSync(
  path.join(cache, 'cuda_runtime_api.h'),
  '#pragma once\ntypedef struct CUstream_st* cudaStream_t;\ntypedef struct CUevent_st* cudaEvent_t;\n',
)

let failures = 0
if (flags.has('--self-test')) {
  selfTest()
} else if (folders.length === 0) {
  console.log('skipped: no headers; set TENSORRT_ROOT to a TensorRT SDK or a checkout of NVIDIA/TensorRT')
} else {
  for (const folder of folders) checkHeaders(folder)
}
process.exit(failures === 0 ? 0 : 1)

function checkHeaders(folder) {
  const include = [path.join(folder, 'include'), folder].find((at) =>
    existsSync(path.join(at, 'NvInferRuntime.h')),
  )
  if (include === undefined) {
    report(false, `${folder}: no NvInferRuntime.h there`)
    return
  }
  const { ok, output, version } = compareTables(native, ['-isystem', include])
  report(ok, output)
  if (ok && !flags.has('--tables'))
    report(runSuite(include, version), `the native TensorRT tests on a double of ${version}`)
}

/** Compiles and runs scripts/tensorrt/check_abi.cc on `abiRoot`/tensorrt/abi.h. */
function compareTables(abiRoot, compilerFlags) {
  const program = path.join(cache, 'check_abi')
  const source = path.join(root, 'scripts', 'tensorrt', 'check_abi.cc')
  const compiled = spawnSync(
    process.env.CXX ?? 'c++',
    [
      '-std=c++20',
      '-Wno-deprecated-declarations',
      `-I${cache}`,
      ...compilerFlags,
      `-I${abiRoot}`,
      source,
      '-o',
      program,
    ],
    { encoding: 'utf8' },
  )
  if (compiled.status !== 0)
    return { ok: false, output: `does not compile:\n${compiled.stderr.slice(0, 4000)}` }
  const ran = spawnSync(program, { encoding: 'utf8' })
  const version = /TensorRT ([\d.]+)/.exec(ran.stdout)?.[1]
  return { ok: ran.status === 0, output: ran.stdout.trimEnd() || `it ended by ${ran.signal}`, version }
}

/** Builds the doubles with the headers' interfaces and runs the tests of their major on them. */
function runSuite(include, version) {
  const build = path.join(cache, version)
  mkdirSync(path.join(build, 'stubs'), { recursive: true })
  writeFileSync(path.join(build, 'stubs', 'stubs.h'), generateStubs(include))
  writeFileSync(
    path.join(build, 'stubs', 'cuda_runtime_api.h'),
    readFileSync(path.join(cache, 'cuda_runtime_api.h')),
  )
  const steps = [
    [
      'cmake',
      ...['-S', path.join(root, 'test', 'fakes'), '-B', build, '-Wno-dev'],
      `-DCOSMOS_NVINFER_INCLUDE=${path.join(build, 'stubs')};${include}`,
      `-DCOSMOS_NVINFER_MAJOR=${version.split('.')[0]}`,
    ],
    ['cmake', '--build', build, '--parallel', '2'],
    [
      process.execPath,
      path.join(root, 'scripts', 'native-test.mjs'),
      `--gtest_filter=*TensorRt*/${version.split('.')[0]}`,
    ],
  ]
  return steps.every(([command, ...rest]) => {
    const result = spawnSync(command, rest, {
      encoding: 'utf8',
      env: { ...process.env, COSMOS_TEST_FAKES: build },
    })
    if (result.status !== 0) console.error(result.stdout + result.stderr)
    else if (command === process.execPath)
      console.log(`  passed: ${/PASSED *\] (.*)\./.exec(result.stdout)?.[1]}`)
    return result.status === 0
  })
}

/** Classes that implement every method of NVIDIA's abstract ones, for the double to derive from. */
function generateStubs(include) {
  const text = readFileSync(path.join(include, 'NvInferImpl.h'), 'utf8').replaceAll(/\/\/.*/g, '')
  const stubs = ['Runtime', 'CudaEngine', 'ExecutionContext'].map((name) => {
    const body = new RegExp(`class V${name} : public VRoot\\s*\\{([^]*?)\\n\\};`).exec(text)?.[1] ?? ''
    const methods = [...body.matchAll(/virtual\s+([^;]*?)(\w+)\(([^;]*?)\)\s*(const)?\s*noexcept\s*=\s*0;/g)]
    if (methods.length < 20) throw new Error(`V${name} was not understood`)
    const overrides = methods.map(
      ([, type, method, parameters, constant = '']) =>
        `  ${type}${method}(${parameters}) ${constant} noexcept override { Unexpected("${method}"); }`,
    )
    return `class ${name}Stub : public apiv::V${name} {\n public:\n${overrides.join('\n')}\n};\n`
  })
  return `#pragma once
#include <NvInferRuntime.h>
namespace nvinfer1 {
[[noreturn]] void Unexpected(const char* method);
${stubs.join('\n')}}  // namespace nvinfer1
using nvinfer1::CudaEngineStub;
using nvinfer1::ExecutionContextStub;
using nvinfer1::RuntimeStub;
`
}

function selfTest() {
  const abi = readFileSync(path.join(native, 'tensorrt', 'abi.h'), 'utf8')
  for (const major of [10, 11]) {
    const compilerFlags = [`-DNV_TENSORRT_MAJOR=${major}`, `-I${ownHeaders}`]
    const right = compareTables(native, compilerFlags)
    report(right.ok, `the double's own declarations: ${right.output}`)
    for (const [what, from, to] of mistakes(abi, major)) {
      const changed = path.join(cache, 'mistake')
      mkdirSync(path.join(changed, 'tensorrt'), { recursive: true })
      if (!abi.includes(from)) throw new Error(`abi.h has no "${from}"`)
      writeFileSync(path.join(changed, 'tensorrt', 'abi.h'), abi.replace(from, to))
      report(!compareTables(changed, compilerFlags).ok, `${major}: noticed ${what}`)
      rmSync(changed, { recursive: true })
    }
  }
}

/** Tables with one mistake each: a slot that is off by one, a wrong signature, and every other kind. */
function* mistakes(abi, major) {
  for (const [line, name, slot10, slot11] of abi.matchAll(/M\(\w+, (\w+), (\d+), (\d+), .*/g)) {
    const wrong =
      major === 10
        ? line.replace(`${slot10}, ${slot11}`, `${+slot10 + 1}, ${slot11}`)
        : line.replace(`${slot10}, ${slot11}`, `${slot10}, ${+slot11 + 1}`)
    yield [`a wrong slot of ${name}`, line, wrong]
  }
  yield [
    'a wrong parameter',
    'deserializeCudaEngine, 3, 3, CudaEngine*(const void*, std::size_t)',
    'deserializeCudaEngine, 3, 3, CudaEngine*(const void*, int)',
  ]
  yield [
    'a wrong result',
    'getMaxOutputSize, 34, 33, std::int64_t(',
    'getMaxOutputSize, 34, 33, std::int32_t(',
  ]
  yield ['a wrong number', 'kInt64 = 8', 'kInt64 = 9']
  yield ['dimensions of 32 bits', 'std::array<std::int64_t, 8> d', 'std::array<std::int32_t, 8> d']
  yield ['dimensions too few', 'std::array<std::int64_t, 8> d', 'std::array<std::int64_t, 7> d']
  yield ['the other destructor', '(table[1])(object)', '(table[0])(object)']
  const logger = `class Logger${major} {\n public:\n`
  yield ['a logger with one method too many', logger, `${logger}  virtual void Extra() {}\n`]
}

function report(passed, text) {
  if (!passed) failures += 1
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${text}`)
}
