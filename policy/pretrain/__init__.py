"""Pre-training of the two streams without action labels: `python -m policy.pretrain objective=video_prediction data=FOLDER`."""

OBJECTIVES = {
    "video_prediction": "policy.pretrain.video_prediction:VideoPrediction",
    "forecast": "policy.pretrain.forecast:Forecast",
    "dino": "policy.pretrain.dino:Dino",
    "both": "policy.pretrain.both:Both",
    "jepa": "policy.pretrain.jepa:Jepa",
    "latent_diffusion": "policy.pretrain.latent_diffusion:LatentDiffusion",
}
