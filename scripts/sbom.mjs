// Writes prebuilds/linux-<arch>/sbom.cdx.json, the components of the package as CycloneDX 1.6, from the build.json beside it
// and package-lock.json. The output is reproducible.
//
//   node scripts/sbom.mjs     for every folder in prebuilds/

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)

const licences = { ffmpeg: 'LGPL-2.1-or-later', dav1d: 'BSD-2-Clause', zlib: 'Zlib' }

/** The document for one prebuilds/linux-<arch>. */
export function sbom(prebuild) {
  const { name, version, license } = require('../package.json')
  /** @type {{ packages: Record<string, any> }} */
  const lock = require('../package-lock.json')
  const build = JSON.parse(readFileSync(path.join(prebuild, 'build.json'), 'utf8'))

  const libraries = Object.entries(build.sources).map(([source, { version: sourceVersion, files }]) => ({
    type: 'library',
    'bom-ref': purl('deb/debian', source, sourceVersion),
    name: source,
    version: sourceVersion,
    purl: purl('deb/debian', source, sourceVersion),
    licenses: [{ license: { id: licences[source] } }],
    pedigree: {
      notes: Object.entries(files)
        .map(([file, hash]) => `${file} sha256:${hash}`)
        .join('\n'),
    },
  }))
  const built = [
    npm('onnxruntime-node', build.onnxruntime, 'MIT', { description: 'only libonnxruntime.so.1 of it' }),
    npm('node-addon-api', lock.packages['node_modules/node-addon-api'].version, 'MIT', {
      description: 'headers, compiled into the addon',
    }),
    ...Object.entries(build.headers).map(([header, headerVersion]) => ({
      type: 'library',
      'bom-ref': purl('deb/debian', header, headerVersion),
      name: 'nv-codec-headers',
      version: headerVersion,
      purl: purl('deb/debian', header, headerVersion),
      licenses: [{ license: { id: 'MIT' } }],
      description: 'headers, compiled into the addon',
    })),
    {
      type: 'library',
      'bom-ref': purl('pypi', 'ziglang', build.compilers.zig),
      name: 'ziglang',
      version: build.compilers.zig,
      purl: purl('pypi', 'ziglang', build.compilers.zig),
      licenses: [{ license: { id: 'MIT' } }, { license: { name: 'Apache-2.0 WITH LLVM-exception' } }],
      description: 'compiler; its libc++, libc++abi, libunwind and support routines are linked in',
    },
  ]
  const dependencies = Object.entries(lock.packages)
    .filter(
      ([folder, entry]) =>
        folder !== '' && !entry.dev && !entry.peer && !entry.optional && !entry.devOptional,
    )
    .map(([folder, entry]) => npm(folder.replace(/^.*node_modules\//, ''), entry.version, entry.license))
  const files = Object.entries(build.files).map(([file, hash]) => ({
    type: 'file',
    'bom-ref': `file:${build.target}/${file}`,
    name: `prebuilds/${build.target}/${file}`,
    hashes: [{ alg: 'SHA-256', content: hash }],
  }))

  const self = { ...npm(name, version, license), type: 'library' }
  const components = unique([...libraries, ...built, ...dependencies, ...files])
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuid(JSON.stringify({ self, components }))}`,
    version: 1,
    metadata: { component: self },
    components,
    dependencies: [
      { ref: self['bom-ref'], dependsOn: components.map((component) => component['bom-ref']).sort() },
    ],
  }
}

function npm(name, version, license, more = {}) {
  const id = purl('npm', name.replace('@', '%40'), version)
  return { type: 'library', 'bom-ref': id, name, version, purl: id, ...licence(license), ...more }
}

function licence(expression) {
  if (!expression) return {}
  return { licenses: /[ (]/.test(expression) ? [{ expression }] : [{ license: { id: expression } }] }
}

function purl(type, name, version) {
  return `pkg:${type}/${name}@${version.replaceAll(':', '%3A').replaceAll('+', '%2B')}`
}

function unique(components) {
  return [...new Map(components.map((component) => [component['bom-ref'], component])).values()]
}

/** A name-based UUID: a random one would make the document irreproducible. */
function uuid(text) {
  const hex = createHash('sha256').update(text).digest('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}

export function writeSbom(prebuild) {
  const file = path.join(prebuild, 'sbom.cdx.json')
  writeFileSync(file, `${JSON.stringify(sbom(prebuild), null, 2)}\n`)
  return file
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const prebuilds = path.join(root, 'prebuilds')
  for (const folder of readdirSync(prebuilds).sort()) {
    console.log(path.relative(root, writeSbom(path.join(prebuilds, folder))))
  }
}
