// Random things that happen to a video on its way into a container, several to each.

import { cutStart, hide, markFollowingSamples, setEveryBlockKey, turn } from './edits.mjs'
import { discardEarlierPictures, hideSomePictures } from './hevc-edits.mjs'

/** A treatment in the form of those of treatments.mjs. `chance` is that of variety.mjs. */
export function variedTreatment(chance, container, stream) {
  const recipe = new Recipe()
  const isMp4 = container.name === 'mp4' || container.name === 'mov'
  const isMatroska = container.name === 'mkv' || container.name === 'webm'
  const keepsTimes = container.times && container.name !== 'ivf'
  if (container.times) changeTimes(chance, recipe)
  cut(chance, recipe)
  if (keepsTimes) shift(chance, recipe, container)
  if (container.audio && chance.yes(0.2)) recipe.set('sound')
  if (keepsTimes && recipe.input.length === 0 && chance.yes(0.15)) recipe.set('joined')
  if (isMp4) changeMp4(chance, recipe, stream)
  if (isMatroska) changeMatroska(chance, recipe)
  if (container.name === 'ts') changeTransportStream(chance, recipe)
  if (container.name === 'hevc') changeHevc(chance, recipe)
  // Muxers take more formats than demuxers.
  if (stream.codec === 'raw') recipe.set('mayBeEmpty')
  if (['mkv', 'webm', 'avi', 'flv', 'asf', 'mpg'].includes(container.name) && chance.yes(0.2))
    recipe.set('pipe')
  if (container.name !== 'obu') truncate(chance, recipe, container, !isMp4 || recipe.isFragmented)
  return recipe.treatment()
}

class Recipe {
  input = []
  isFragmented = false
  #said = []
  #output = []
  #edits = []
  #settings = {}

  say(words) {
    this.#said.push(words)
  }

  add(words, ...output) {
    this.say(words)
    this.#output.push(...output)
  }

  edit(words, edit) {
    this.say(words)
    this.#edits.push(edit)
  }

  /** Sets a property of the treatment; its name says enough. */
  set(setting) {
    this.say(setting)
    this.#settings[setting] = true
  }

  treatment() {
    const edits = this.#edits
    return {
      name: this.#said.join(', ') || 'plain',
      takes: () => true,
      input: this.input,
      output: this.#output,
      ...(edits.length > 0 && { edit: (bytes) => edits.reduce((edited, edit) => edit(edited), bytes) }),
      // The hash of the recipe names the file, and what an edit closes over is not in its text.
      recipe: this.#said.join(),
      ...this.#settings,
    }
  }
}

/** How times are changed: functions of an expression of the setts filter, so that they can follow one another. */
const timings = {
  slower: (time) => `${time}+floor(${time}*${time}*TB/8)`,
  gap: (time) => `${time}+if(gte(${time}*TB,1.2),3/TB,0)`,
  uneven: (time) => `${time}+floor(0.4*sin(${time}*TB*40)/25/TB)`,
  faster: (time) => `floor(${time}/3)`,
}

function changeTimes(chance, recipe) {
  const chosen = Object.keys(timings).filter(() => chance.yes(0.15))
  const through = (time) => chosen.reduce((inner, name) => `(${timings[name](inner)})`, time)
  const repeats = chance.yes(0.15)
  if (chosen.length === 0 && !repeats) return
  if (repeats) recipe.set('mayBeEmpty') // a muxer may drop all packets whose times it does not take
  const pts = repeats ? `floor(${through('PTS')}*TB*12)/12/TB` : through('PTS')
  const dts = repeats ? `${through('DTS')}-0.1/TB` : through('DTS')
  const words = [...chosen, ...(repeats ? ['repeated times'] : [])].join(' ')
  recipe.add(words, '-bsf:v', `setts=pts='${pts}':dts='${dts}'`)
}

function cut(chance, recipe) {
  if (chance.yes(0.3)) {
    const start = chance.real(0.05, 1.6).toFixed(2)
    recipe.say(`from ${start}`)
    recipe.input.push('-ss', start)
  }
  if (chance.yes(0.25)) {
    const seconds = chance.real(0.2, 1.8).toFixed(2)
    recipe.add(`for ${seconds}`, '-t', seconds)
  }
}

function shift(chance, recipe, { name }) {
  if (!chance.yes(0.15)) return
  // The clock of a transport stream wraps around after 26.5 hours.
  const beforeWrap = 95441.5
  const offset = name === 'ts' && chance.yes(0.5) ? beforeWrap : chance.of([0.011, 7.5, 3600])
  recipe.add(`offset ${offset}`, '-output_ts_offset', String(offset))
}

const fragments = [
  'frag_keyframe+empty_moov+default_base_moof',
  'frag_every_frame+empty_moov',
  'dash+frag_keyframe+global_sidx',
  'frag_keyframe+delay_moov+cmaf',
  'frag_keyframe',
]

function changeMp4(chance, recipe, stream) {
  recipe.isFragmented = chance.yes(0.45)
  const flags = recipe.isFragmented ? [chance.of(fragments)] : ['faststart'].filter(() => chance.yes(0.3))
  if (chance.yes(0.2)) flags.push('negative_cts_offsets')
  if (flags.length > 0) recipe.add(flags.join('+'), '-movflags', flags.join('+'))
  if (chance.yes(0.2)) recipe.add('no edit list', '-use_editlist', '0')
  if (chance.yes(0.2)) recipe.add('negative times', '-avoid_negative_ts', 'disabled')
  if (chance.yes(0.3)) {
    const scale = chance.of([25, 600, 30000, 1_000_000])
    recipe.add(`scale ${scale}`, '-video_track_timescale', String(scale))
  }
  if (chance.yes(0.3)) {
    const quarters = chance.between(1, 3)
    recipe.edit(`turned ${90 * quarters}`, turn(quarters))
  }
  if (recipe.isFragmented) return
  // With an edit list, FFmpeg goes by these flags, and each version in its own way.
  if (!stream.intra && recipe.input.length === 0 && chance.yes(0.3))
    recipe.edit(
      ...chance.of([
        ['every sample a key', hide('stss')],
        ['wrong keys', markFollowingSamples],
      ]),
    )
  if (stream.reorders && chance.yes(0.1)) recipe.edit('no composition times', hide('ctts'))
}

function changeMatroska(chance, recipe) {
  if (chance.yes(0.3)) recipe.add('short clusters', '-cluster_time_limit', String(chance.of([40, 80, 300])))
  if (chance.yes(0.2)) recipe.add('negative times', '-avoid_negative_ts', 'disabled')
  if (chance.yes(0.25)) recipe.edit('every block a key', setEveryBlockKey)
}

function changeTransportStream(chance, recipe) {
  if (chance.yes(0.3)) recipe.add('small PES', '-pes_payload_size', '200')
  if (chance.yes(0.3))
    recipe.add('more tables', '-mpegts_flags', chance.of(['resend_headers', 'pat_pmt_at_frames']))
}

function changeHevc(chance, recipe) {
  if (chance.yes(0.3)) recipe.edit('earlier pictures are discarded', discardEarlierPictures)
  if (chance.yes(0.3)) recipe.edit('pictures are hidden', hideSomePictures)
}

function truncate(chance, recipe, { bytes: canBeginAnywhere }, canEndAnywhere) {
  if (canBeginAnywhere && chance.yes(0.2)) {
    const share = chance.real(0.1, 0.6)
    recipe.set('mayBeEmpty')
    recipe.edit(`begins at ${share.toFixed(2)}`, cutStart(share))
  }
  if (canEndAnywhere && chance.yes(0.2)) {
    const share = chance.real(0.4, 0.98)
    recipe.set('mayBeEmpty') // sound comes first in some files, and tables come last
    recipe.edit(`ends at ${share.toFixed(3)}`, (bytes) => bytes.subarray(0, Math.floor(bytes.length * share)))
  }
}
