/* tamis - built-in models: softmax regression and multilayer perceptron; training, and
 * per-example gradients.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_H
#define TAMIS_MODEL_H

#include <stdbool.h>
#include <tamis/data.h>
#include <tamis/store.h>

TAMIS_BEGIN

/** Activation functions.
 *  GELU is the exact x * Phi(x) (Hendrycks and Gimpel 2016, eq. 1), not the tanh approximation. */
typedef enum tamis_activation { TAMIS_RELU = 0, TAMIS_TANH = 1, TAMIS_GELU = 2 } tamis_activation;

/** Opaque; immutable once made, so it may be shared between threads. Layers are linear, layer i
 *  named "layers.<i>", the activation after every layer but the last; softmax cross-entropy. */
typedef struct tamis_model tamis_model;

/** What a model says of itself. Strings and arrays belong to the model. */
typedef struct tamis_model_info {
    uint32_t layers;             /**< number of linear layers, at least 1 */
    const tamis_layer *layer;    /**< [layers]; first_column counts over all layers */
    tamis_activation activation; /**< after every layer but the last */
    uint64_t parameters;         /**< weights and biases of one checkpoint */
    uint32_t checkpoints;        /**< at least 1 */
    const tamis_checkpoint
        *checkpoint;  /**< [checkpoints], ascending steps; the last is the final model */
    uint32_t classes; /**< outputs of the last layer, at least 2 */
    const char *const *class_name;   /**< [classes], or NULL (weights from safetensors) */
    const char *const *feature_name; /**< [inputs], or NULL (no names in the source) */
    const float *mean, *scale; /**< [inputs] standardisation: (x - mean) / scale; NULL = none */
    bool moments;              /**< trained by Adam, whose moments are kept at every checkpoint */
    double beta1, beta2, epsilon; /**< Adam's constants when there are moments, else 0 */
    const char *provenance;       /**< JSON text; "{}" when absent */
} tamis_model_info;

/** The facts of a model; owned by it and valid until it is freed. Never NULL. Thread-safe. */
TAMIS_API const tamis_model_info *tamis_model_info_get(const tamis_model *model);

/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_model_free(tamis_model **model);

/** Weights of a layer at a checkpoint, [out, in + bias] row-major with the bias as last column.
 *  Owned by the model. NULL when out of range. Thread-safe. */
TAMIS_API const float *tamis_model_weights(const tamis_model *model, uint32_t checkpoint,
                                           uint32_t layer);

/** Adam's moments of a layer at a checkpoint, after its `step` steps: the running means of the
 *  mini-batch gradients (with weight decay) and of their squares, not corrected for their start at
 *  0, each [out, in + bias] as the weights. Owned by the model. False, and nothing is set, when the
 *  model has none or when out of range. Thread-safe. */
TAMIS_API bool tamis_model_moments(const tamis_model *model, uint32_t checkpoint, uint32_t layer,
                                   const float **ret_first, const float **ret_second);

/** How weights are moved: stochastic gradient descent with momentum, or Adam. */
typedef enum tamis_optimizer { TAMIS_SGD = 0, TAMIS_ADAM = 1 } tamis_optimizer;

/** How to train. tamis_train_defaults() fills it in. */
typedef struct tamis_train_params {
    const uint32_t *hidden;      /**< [hidden_layers] widths; none = softmax regression */
    uint32_t hidden_layers;      /**< entries of hidden; 0 = softmax regression */
    tamis_activation activation; /**< after every layer but the last; default ReLU */
    uint64_t no_bias;            /**< bit i set: layer i has no bias */
    tamis_optimizer optimizer;   /**< default SGD */
    uint32_t epochs;             /**< default 40; >= 1 */
    uint32_t batch;       /**< rows per step; default 64; the last of an epoch may be smaller */
    double learning_rate; /**< default 0.1 (SGD), 0.001 (Adam); > 0 */
    double momentum;      /**< SGD, in [0, 1); default 0.9 */
    double weight_decay;  /**< L2: added to the gradient as weight_decay * w; not on biases;
                                    default 0 */
    double beta1, beta2, epsilon; /**< Adam (Kingma and Ba 2015, algorithm 1); 0.9, 0.999, 1e-8 */
    uint32_t checkpoint_every;    /**< epochs between checkpoints; 0 = only the last */
    bool standardise;             /**< default true: mean 0 and deviation 1 per column, from the
                                    training rows; a constant column is only centred */
    uint64_t seed;                /**< default 0: initialisation and order of rows */
    const char *provenance;       /**< JSON text kept with the model; NULL = "{}" */
} tamis_train_params;

/** Fill in the defaults named above; every other field becomes 0 or NULL. The learning rate is that
 *  of SGD: who chooses Adam sets it too. Thread-safe. */
TAMIS_API void tamis_train_defaults(tamis_train_params *params);

/** Loss and accuracy on labelled rows. */
typedef struct tamis_fit {
    double loss;     /**< mean cross-entropy, nats */
    double accuracy; /**< share of rows whose largest logit is the label's (ties: lowest class) */
} tamis_fit;

/** Train on `data`. Initial weights: Glorot uniform (Glorot and Bengio 2010, eq. 16) for tanh,
 *  He uniform (He et al. 2015) for ReLU and GELU; biases 0. The same data, params and seed give
 *  the same bits at any thread count. Reports loss and accuracy through progress.
 *  Errors: ARG (a parameter out of its range), FORMAT (no labels), SHAPE (fewer than two classes),
 *  NUMERIC (the loss is no longer finite: names the epoch), NOMEM, CANCELLED.
 *  Complexity: 6 flops per parameter, row and epoch. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_train(tamis_model **ret_model, tamis_context *context,
                                                   const tamis_train_params *params,
                                                   const tamis_data *data, tamis_fit *ret_fit,
                                                   tamis_error *err);

/** Loss and accuracy of a checkpoint on labelled rows; `ret_predicted` [rows] classes, or NULL.
 *  Several threads may evaluate one model, each with its own context.
 *  Errors: ARG (no such checkpoint), SHAPE (as tamis_gradients()), FORMAT (no labels), NUMERIC (the
 *  loss is not finite), NOMEM, CANCELLED. Complexity: 2 flops per parameter and row. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_model_evaluate(
    const tamis_model *model, tamis_context *context, uint32_t checkpoint, const tamis_data *data,
    tamis_fit *ret_fit, int32_t *ret_predicted, tamis_error *err);

/** Load an HDF5 model file, or safetensors with tensors `layers.N.weight` [out, in] and optional
 *  `layers.N.bias` [out] (F16, BF16, F32, F64; one checkpoint, learning rate 1, no
 *  standardisation). `activation` is needed for safetensors: NULL takes the file's metadata key
 *  `activation`, and is an error when that is absent too and there is more than one layer. Where
 *  the file says its activation, the argument must be NULL or agree.
 *  Errors: IO, FORMAT (missing or extra layers, shapes that do not chain, non-finite weights in
 *  safetensors), NUMERIC (an HDF5 model whose weights are not finite),
 *  ARG (unknown activation), UNSUPPORTED. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_model_load(tamis_model **ret_model,
                                                        tamis_context *context, const char *path,
                                                        const char *activation, tamis_error *err);

/** Write the HDF5 model file atomically, with every checkpoint. `force` replaces an existing file.
 *  Errors: IO (exists without force, cannot write), NOMEM. Complexity: one write of the weights. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_model_save(const tamis_model *model,
                                                        tamis_context *context, const char *path,
                                                        bool force, tamis_error *err);

/** What is differentiated, row by row. */
typedef enum tamis_function {
    TAMIS_FUNCTION_LOSS = 0,  /**< cross-entropy; its gradient points where the loss grows */
    TAMIS_FUNCTION_MARGIN = 1 /**< logit of the label minus logsumexp of the other logits (Park et
                                   al. 2023, TRAK); its gradient points where the row
                                   is learnt better: loss gradient = -(1 - probability) x this */
} tamis_function;

/** What becomes of the gradient g of a row, value by value, with m and v Adam's moments at the
 *  checkpoint and t the steps they are of. */
typedef enum tamis_direction {
    TAMIS_DIRECTION_GRADIENT = 0, /**< g */
    TAMIS_DIRECTION_SIGN = 1,     /**< 1, 0 or -1 */
    /** Adam's next step if g were the next gradient (Xia et al. 2024, LESS):
     *  m' = beta1 m + (1 - beta1) g;  v' = beta2 v + (1 - beta2) g^2;
     *  (m' / (1 - beta1^(t+1))) / (sqrt(v' / (1 - beta2^(t+1))) + epsilon) */
    TAMIS_DIRECTION_ADAM = 2,
    /** m' / sqrt(v' + epsilon): what the released code of LESS computes */
    TAMIS_DIRECTION_ADAM_LESS = 3,
    /** g / (sqrt(v / (1 - beta2^t)) + epsilon) (Chang et al. 2024, TrackStar) */
    TAMIS_DIRECTION_SECOND_MOMENT = 4
} tamis_direction;

/** Whose labels the gradients are of. Those that are not the data's own make pseudo-gradients,
 *  which curvature is fitted on; the label column of the store stays that of the data. */
typedef enum tamis_labels {
    TAMIS_LABELS_TRUE = 0,    /**< those of the data */
    TAMIS_LABELS_SAMPLED = 1, /**< one for each row and checkpoint, drawn from the model's softmax
                                   there: a sample of the Fisher matrix, which is the Gauss-Newton
                                   matrix of softmax cross-entropy (Martens 2020, section 9) */
    /** A row of the store for each class of each row of the data, its gradient times the root of
     *  the class's probability: the sum of their outer products is the Fisher matrix itself. Row
     *  n * classes + c is class c of row n, with the id "<id of n>/<c>" and the other columns of
     *  n */
    TAMIS_LABELS_EXPECTED = 2,
    TAMIS_LABELS_GIVEN = 3 /**< those of `given_labels` */
} tamis_labels;

/** Bits of tamis_gradient_params.given. */
enum {
    TAMIS_GIVEN_BETA1 = 1 << 0,
    TAMIS_GIVEN_BETA2 = 1 << 1,
    TAMIS_GIVEN_EPSILON = 1 << 2,
    TAMIS_GIVEN_STEP = 1 << 3
};

/** What per-example gradients to store. Zero-initialise. */
typedef struct tamis_gradient_params {
    const char *path;        /**< store to write; required */
    tamis_dtype dtype;       /**< of the stored rows; default f32 */
    const char *layers;      /**< comma-separated layer names or numbers, "first-last" ranges,
                                     NULL = all */
    const char *checkpoints; /**< comma-separated checkpoint numbers, "all" or "last"; NULL = all */
    uint64_t shard_rows;     /**< as tamis_store_spec */
    bool force, resume;      /**< as tamis_store_spec */
    const char *provenance;  /**< JSON text; NULL = "{}" */
    tamis_function function; /**< default the loss */
    tamis_direction direction; /**< default the gradient itself */
    /** [moment_files] safetensors files of moments, one for each chosen checkpoint or one for all;
     *  none = those of the model. A file has tensors `exp_avg` and `exp_avg_sq` of every weight and
     *  bias, as "layers.N.weight.exp_avg" or by position, "0.exp_avg" being that of weight 0, then
     *  bias 0 where there is one, weight 1 ...; [out, in] for weights, [out] for biases */
    const char *const *moments;
    uint32_t moment_files; /**< entries of moments; 0 = those of the model */
    unsigned given;        /**< TAMIS_GIVEN_*: which of the next four count. One that the direction
                                does not depend on is an error */
    double beta1, beta2, epsilon; /**< betas in [0, 1), epsilon > 0; not given: the model's, or 0.9,
                                       0.999 and 1e-8 */
    uint64_t moments_step; /**< steps the moments are of, > 0; not given: metadata key `step` of the
                                moments' file, its tensors "<parameter>.step", or the checkpoint's
                                step */
    /** Store rows, directions too, projected at random to fewer columns: `kind`, `seed` and `to`
     *  must be given; `from` may be 0 or must be the columns of a row; `nonzeros` 0 = 2 at most
     *  `to`. The store then has one layer, "projected". NULL = rows are stored whole */
    const tamis_projection *projection;
    tamis_form form;     /**< default: full. Factors, one token a row, are of the gradient
                                      itself, and not projected */
    tamis_labels labels; /**< default those of the data; sampled and expected ones go with the
                                      loss only, expected ones with the gradient itself only. Data
                                      need labels for the true ones only */
    const int32_t *given_labels; /**< [rows] class indices, with TAMIS_LABELS_GIVEN; else NULL */
    uint64_t
        label_seed; /**< with TAMIS_LABELS_SAMPLED; a row's draw depends on it, the row's number
                              and the checkpoint's weights alone */
} tamis_gradient_params;

/** Gradients of each row's loss (summed, never averaged) or margin with respect to the chosen
 *  layers, or directions made of them, at every chosen checkpoint, with loss, margin (logit of the
 *  label minus logsumexp of the others) and class probabilities beside them.
 *  Errors: those of tamis_store_writer_open() and _append(), ARG (no such layer or checkpoint),
 *  SHAPE (columns, classes or, where both have them, names of features differ from the model's),
 *  FORMAT (no labels, moments of other layers or shapes, squares below zero), CANCELLED, and ARG
 *  when a direction has no moments to be made with or is given parameters it does not depend on, or
 *  a projection does not fit.
 *  Complexity: 4 flops per parameter, row and checkpoint, and one write of the rows. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_gradients(const tamis_model *model,
                                                       tamis_context *context,
                                                       const tamis_data *data,
                                                       const tamis_gradient_params *params,
                                                       tamis_error *err);

TAMIS_END

#endif
