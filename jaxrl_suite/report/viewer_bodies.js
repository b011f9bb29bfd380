// Bodies and grounds of viewer.py as three.js objects, for viewer.js.
// Units are those of the model: metres; z is up. THREE is the vendored bundle.
"use strict";
const Bodies = (() => {
  const TILE = 0.5; // m, side of a square of the ground: speed can be read off it

  function numbers(text, kind) {
    return new kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }

  const upright = (geometry) => geometry.rotateX(Math.PI / 2); // three's axis is y, MuJoCo's z

  const SHAPES = {
    sphere: ({ size }) => new THREE.SphereGeometry(size[0], 40, 24),
    ellipsoid: ({ size }) => new THREE.SphereGeometry(1, 40, 24).scale(...size),
    box: ({ size }) => new THREE.BoxGeometry(2 * size[0], 2 * size[1], 2 * size[2]),
    capsule: ({ size }) => upright(new THREE.CapsuleGeometry(size[0], 2 * size[1], 14, 32)),
    cylinder: ({ size }) => upright(new THREE.CylinderGeometry(size[0], size[0], 2 * size[1], 40)),
    plane,
    hfield: heightField,
  };

  // A size of 0 is without end: far beyond the fog, and moved along under the camera.
  function plane({ size }, reach) {
    const end = 4 * TILE * Math.ceil(reach / (4 * TILE));
    const [x, y] = [size[0] || end, size[1] || end];
    return tiled(new THREE.PlaneGeometry(2 * x, 2 * y));
  }

  function heightField({ rows, columns, size, heights }) {
    const values = numbers(heights, Uint16Array);
    const points = new Float32Array(3 * rows * columns), faces = [];
    for (let row = 0, k = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, k++) {
        points[3 * k] = size[0] * ((2 * column) / (columns - 1) - 1);
        points[3 * k + 1] = size[1] * ((2 * row) / (rows - 1) - 1);
        points[3 * k + 2] = (size[2] * values[k]) / 65535;
        if (!row || !column) continue;
        const [a, b, c] = [k - columns - 1, k - columns, k - 1];
        faces.push(a, b, k, a, k, c);
      }
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(points, 3));
    geometry.setIndex(faces);
    geometry.computeVertexNormals();
    return tiled(geometry);
  }

  // Texture coordinates in units of two squares, which is one picture of the checker.
  function tiled(geometry) {
    const points = geometry.getAttribute("position"), count = points.count;
    const uv = new Float32Array(2 * count);
    for (let i = 0; i < count; i++) {
      uv[2 * i] = points.getX(i) / (2 * TILE);
      uv[2 * i + 1] = points.getY(i) / (2 * TILE);
    }
    geometry.setAttribute("uv", new THREE.BufferAttribute(uv, 2));
    return geometry;
  }

  function material({ shape, rgba }, { ground, plain }) {
    const flat = shape === "plane" || shape === "hfield";
    const surface = new THREE.MeshStandardMaterial({ roughness: flat ? 0.95 : 0.5 });
    if (flat) surface.map = rgba ? plain : ground;
    if (rgba) {
      surface.color.setRGB(rgba[0], rgba[1], rgba[2], THREE.SRGBColorSpace);
      Object.assign(surface, { opacity: rgba[3], transparent: rgba[3] < 1 });
    }
    return surface;
  }

  // The parts of a recording as three.js objects. Grounds take one of two textures: `ground` in
  // the page's colours, or `plain`, which their own colour tints; endless planes end after `reach`
  // metres.
  function build(recording, textures, reach) {
    const root = new THREE.Group(), endless = [];
    const movers = Array.from({ length: recording.bodies }, () => new THREE.Group());
    if (movers.length) root.add(...movers);
    for (const geom of recording.geoms) {
      const mesh = new THREE.Mesh(SHAPES[geom.shape](geom, reach), material(geom, textures));
      mesh.castShadow = geom.shape !== "plane";
      mesh.receiveShadow = true;
      const place = new THREE.Group().add(mesh);
      place.position.set(...geom.position);
      place.quaternion.set(...geom.rotation);
      (geom.body < 0 ? root : movers[geom.body]).add(place);
      const open = geom.shape === "plane" ? [!geom.size[0], !geom.size[1]] : [];
      if (open.includes(true) && geom.body < 0) endless.push({ place, mesh, open });
    }
    return {
      root, movers, endless,
      frames: recording.frames,
      positions: numbers(recording.positions, Float32Array),
      rotations: numbers(recording.rotations, Int16Array),
      centres: numbers(recording.centres, Float32Array),
    };
  }

  function dismantle({ root }) {
    root.removeFromParent();
    root.traverse((part) => {
      part.geometry?.dispose();
      part.material?.dispose(); // its texture stays for the next
    });
  }

  // Puts the bodies where they are at frame `exact`, a fraction, and tells `centre` where that is:
  // straight lines between two frames, and turns along the shorter way.
  const one = new THREE.Quaternion(), other = new THREE.Quaternion();
  function pose({ movers, positions, rotations, centres, frames }, exact, centre) {
    const i = Math.min(Math.floor(exact), frames - 1), j = Math.min(i + 1, frames - 1);
    const part = exact - i;
    const mix = (array, a, b) => array[a] + part * (array[b] - array[a]);
    const point = (array, a, b) => [0, 1, 2].map((k) => mix(array, 3 * a + k, 3 * b + k));
    movers.forEach((mover, k) => {
      const a = i * movers.length + k, b = j * movers.length + k;
      mover.position.set(...point(positions, a, b));
      one.fromArray(rotations, 4 * a).normalize();
      other.fromArray(rotations, 4 * b).normalize();
      mover.quaternion.slerpQuaternions(one, other, part);
    });
    centre.set(...point(centres, i, j));
  }

  return { TILE, build, dismantle, pose };
})();
